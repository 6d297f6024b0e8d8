// Messages are found whole, and what cannot be told is said to be so.

package natswire

import (
	"testing"
)

func TestCut(t *testing.T) {
	for _, test := range []struct {
		in      string
		n, need int
		want    string // subject|reply|data
	}{
		{"MSG a.b 1 5\r\nabcde\r\nPING\r\n", 20, 0, "a.b||abcde"},
		{"MSG a 17 in.x 0\r\n\r\n", 19, 0, "a|in.x|"},
		{"MSG a 1 5\nabcde\r\n", 17, 0, "a||abcde"},
		{"MSG a 1 5\r\nabc", 0, 18, "||"},
		{"MSG a 1", 0, 8, "||"},
		{"", 0, 1, "||"},
		{"PING\r\nMSG", 6, 0, "||"},
		{"INFO {\"a\":1}\r\n", 14, 0, "||"},
		{"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nab\r\n", 32, 0, "||"},
		{"MSG a 1 x\r\n", 0, 0, "||"},
		{"MSG a 1 \r\n", 0, 0, "||"},
		{"MSG 5\r\nabcde\r\n", 0, 0, "||"},
		{"MSG a 1 99999999999999999999\r\n", 0, 0, "||"},
		{"MSG a 1 2 \r\nab\r\n", 0, 0, "||"},
		{"MSG a  1 2\r\nab\r\n", 0, 0, "||"},
		{"MSG a 1 r 7 2\r\nab\r\n", 0, 0, "||"},
		{"MSG\ta 1 2\r\nab\r\n", 0, 0, "||"},
		{"msg a 1 2\r\nab\r\n", 0, 0, "||"},
		{"HMSG a 1 r 12 14\r\nNATS/1.0\r\n\r\nab\r\n", 34, 0, "||"},
		{"HMSG a 1 12\r\n", 0, 0, "||"},
		{"+OK\r\n", 5, 0, "||"},
		{"-ERR 'x y'\r\n", 12, 0, "||"},
		{"\r\n", 0, 0, "||"},
	} {
		m, n, need := Cut([]byte(test.in))
		if got := string(m.Subject) + "|" + string(m.Reply) + "|" + string(m.Data); n != test.n || need != test.need || got != test.want {
			t.Errorf("%q: %d %d %q, want %d %d %q", test.in, n, need, got, test.n, test.need, test.want)
		}
	}
}

func TestAppendPub(t *testing.T) {
	for _, test := range []struct {
		reply string
		size  int
		want  string
	}{{"in.x", 12, "xPUB a.b in.x 12\r\n"}, {"", 0, "xPUB a.b 0\r\n"}} {
		if got := string(AppendPub([]byte("x"), "a.b", test.reply, test.size)); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// What is said to be of a length is there, and a line that cannot be told is no reason to panic.
func FuzzCut(f *testing.F) {
	for _, s := range []string{"MSG a 1 r 5\r\nabcde\r\n", "MSG a 1 5\r\nabcde\r\n", "MSG a 1 in 0\r\n\r\n", "HMSG a 1 12 14\r\n", "PING\r\n", "MSG 5\r\nabcde\r\n", "MSG  \r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, n, need := Cut(b)
		if n > len(b) || need > 0 && (n > 0 || need <= len(b)) || len(m.Data) > n {
			t.Errorf("%q: %d, %d, %q", b, n, need, m)
		}
	})
}
