package natswire

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// Wherever a server's commands are cut, it is known whether one is under way.
func TestEdge(t *testing.T) {
	commands := []string{
		"INFO {\"a\":\"MSG x 1 5\"}\r\n", "PONG\r\n", "MSG a 1 7\r\nPING\r\n\n\r\n", "MSG a 1 in.x 0\r\n\r\n", "HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nab\r\n", "+OK\r\n", "-ERR 'x'\r\n",
		"MSG a 1 70000\r\n" + strings.Repeat("MSG x 1 2\r\n", 7000)[:70000] + "\r\n", "PING\r\n",
	}
	all, between, want := "", map[int]bool{0: true}, ""
	for range 5 {
		for _, c := range commands {
			all += c
			between[len(all)] = true
			want += c[:strings.IndexByte(c, '\n')+1]
		}
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for _, most := range []int{1, 2, 30, 5000, len(all)} {
		var e Edge
		got, at := "", 0
		for at < len(all) {
			n := min(1+rnd.IntN(most), len(all)-at)
			e.Wrote([]byte(all[at:at+n]), func(line []byte) { got += string(line) })
			if at += n; e.Whole() != between[at] {
				t.Fatalf("in pieces of up to %d: after %q it is whole: %v", most, all[max(0, at-20):at], e.Whole())
			}
		}
		if got != want || e.Lost() {
			t.Errorf("in pieces of up to %d: lines %q, want %q", most, got, want)
		}
	}
	var e Edge
	e.Wrote([]byte("PING\r\nwhat\r\nPING\r\n"), func([]byte) {})
	if e.Whole() || !e.Lost() {
		t.Error("finds an edge in what cannot be told")
	}
}

func TestAppendMsg(t *testing.T) {
	line := AppendMsg([]byte("x"), "in.x", "17", 5)
	if string(line) != "xMSG in.x 17 5\r\n" {
		t.Errorf("%q", line)
	}
	if m, n, _ := Cut(append(line[1:], "abcde\r\n"...)); string(m.Subject) != "in.x" || string(m.Data) != "abcde" || n != len(line)-1+7 {
		t.Errorf("reads it as %q, %d", m, n)
	}
}
