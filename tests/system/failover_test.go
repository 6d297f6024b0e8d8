// The failover example: a function generator over two real memcacheds, one of which is away later.

package system_test

import (
	"os"
	"strings"
	"testing"
)

func TestFailoverExample(t *testing.T) {
	p, backends := startExample(t, "failover.lua")
	main, spare := backends[0], backends[1]
	c := dial(t, p.addr)
	if got := c.ask("set k 0 0 3\r\none\r\n"); got != "STORED\r\n" {
		t.Fatalf("set: %q", got)
	}
	eventually(t, "both have the value", func() bool { return main.has("k", "one") && spare.has("k", "one") })
	spare.ask("set k 0 0 3\r\ntwo\r\n")
	if got := c.ask("get k\r\n"); got != "VALUE k 0 3\r\none\r\nEND\r\n" {
		t.Errorf("main answers, and the client sees %q", got)
	}
	if got := c.ask("get absent\r\n"); got != "END\r\n" {
		t.Errorf("a miss is an answer, and the client sees %q", got)
	}

	config, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	away := strings.Replace(string(config), main.c.RemoteAddr().String(), "127.0.0.1:"+freePort(t), 1)
	p.put(away)
	p.reload()
	if got := c.ask("mg k v\r\n"); got != "VA 3\r\ntwo\r\n" {
		t.Errorf("main is away, and the client sees %q", got)
	}
	if got := c.ask("set k 0 0 5\r\nthree\r\n"); got != "SERVER_ERROR backend failure\r\n" {
		t.Errorf("main is away, and the client hears of its write: %q", got)
	}
	eventually(t, "the spare has the value", func() bool { return spare.has("k", "three") })
}
