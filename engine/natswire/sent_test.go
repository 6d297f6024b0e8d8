// What clients write is cut where nats-server cuts it.

package natswire

import (
	"fmt"
	"strings"
	"testing"
)

func TestCutSent(t *testing.T) {
	for _, test := range []struct {
		in      string
		n, need int
		want    string // verb subject|reply|sid plain size
	}{
		{"PUB a.b in.x 5\r\nabcde\r\n", 16, 0, "1 a.b|in.x| false 5"},
		{"PUB a.b 0\r\n\r\n", 11, 0, "1 a.b|| false 0"},
		{"PUB a.b  5\n", 11, 0, "1 a.b|| false 5"},
		{"PUB\ta.b\tin.x\t5\r\n", 16, 0, "1 a.b|in.x| false 5"},
		{"HPUB a in.x 12 14\r\nNATS/1.0", 19, 0, "2 a|| false 14"},
		{"SUB a 7\r\nPUB", 9, 0, "3 a||7 true 0"},
		{"SUB a  7\r\n", 10, 0, "3 a||7 true 0"}, // nats.go writes two spaces where a queue group could be
		{"SUB a q 7\r\n", 11, 0, "3 a||7 false 0"},
		{"UNSUB 7\r\n", 9, 0, "4 ||7 false 0"},
		{"UNSUB 7 1\r\n", 11, 0, "4 ||7 false 0"},
		{"CONNECT {\"a\": \"PUB b 1\"}\r\n", 26, 0, "0 || false 0"},
		{"PING\r\nPING\r\n", 6, 0, "0 || false 0"},
		{"PONG\r\n", 6, 0, "0 || false 0"},
		{"PUB a 1", 0, 8, "0 || false 0"},
		{"", 0, 1, "0 || false 0"},
		{"PUB a x\r\n", 0, 0, "0 || false 0"},
		{"PUB a -1\r\n", 0, 0, "0 || false 0"},
		{"PUB 5\r\n", 0, 0, "0 || false 0"},
		{"PUB a b c 5\r\n", 0, 0, "0 || false 0"},
		{"PUB a b c d e f 5\r\n", 0, 0, "0 || false 0"},
		{"PUB a 99999999999999999999\r\n", 0, 0, "0 || false 0"},
		{"HPUB a 14\r\n", 0, 0, "0 || false 0"},
		{"SUB a\r\n", 0, 0, "0 || false 0"},
		{"UNSUB\r\n", 0, 0, "0 || false 0"},
		{"pub a 5\r\n", 0, 0, "0 || false 0"},   // nats-server reads these, too
		{"PUB a\rb 55\n", 0, 0, "0 || false 0"}, // these it reads otherwise than they look
		{"SUB in.x\r 12\n", 0, 0, "0 || false 0"},
		{"UNSUB 1\r2\n", 0, 0, "0 || false 0"},
		{"CONNECT\r\n", 0, 0, "0 || false 0"},
		{"PUB a 0000000005\r\n", 0, 0, "0 || false 0"},
		{"\r\n", 0, 0, "0 || false 0"},
		{"\x16\x03\x01\n", 0, 0, "0 || false 0"},
		{"CONNECT " + strings.Repeat("x", SentLine), 0, 0, "0 || false 0"},
	} {
		s, n, need := CutSent([]byte(test.in))
		if got := fmt.Sprintf("%d %s|%s|%s %v %d", s.Verb, s.Subject, s.Reply, s.SID, s.Plain, s.Size); n != test.n || need != test.need || got != test.want {
			t.Errorf("%.50q: %d %d %q, want %d %d %q", test.in, n, need, got, test.n, test.need, test.want)
		}
	}
}

func FuzzCutSent(f *testing.F) {
	for _, s := range []string{"PUB a.b in.x 5\r\nabcde\r\n", "HPUB a 12 14\r\n", "SUB a q 7\r\n", "UNSUB 7 1\r\n", "CONNECT {}\r\n", "PUB  a \r\n", "PUB"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, n, need := CutSent(b)
		if n > len(b) || n > 0 && b[n-1] != '\n' || need > 0 && (n > 0 || need <= len(b)) || s.Size < 0 || s.Verb != Other && n == 0 {
			t.Errorf("%q: %d, %d, %+v", b, n, need, s)
		}
		if (s.Verb == Pub || s.Verb == Hpub || s.Verb == Sub) && len(s.Subject) == 0 || (s.Verb == Sub || s.Verb == Unsub) && len(s.SID) == 0 {
			t.Errorf("%q: %+v", b, s)
		}
	})
}
