// Clients that go when they are told to lose nothing: what a proxy and a leaf do between SIGTERM and their end.

package system_test

import (
	"io"
	"net/http"
	"syscall"
	"testing"
)

// unready waits until /readyz says that a process wants no new clients.
func unready(t *testing.T, admin string) {
	t.Helper()
	eventually(t, "/readyz to say 503", func() bool {
		resp, err := http.Get("http://" + admin + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusServiceUnavailable
	})
}

// TestDrainLosesNothing: during --drain-delay a proxy does all that it did before, but for /readyz; clients that go by that end in order.
func TestDrainLosesNothing(t *testing.T) {
	_, urls := startLeaves(t, 2)
	p := startProxy(t, reloaded(urls, 0), "--drain-delay", "6s", "--drain", "20s")
	p.ready()
	l := &load{addr: p.addr, conns: 4, depth: 8, keys: 20}
	l.start(t)
	l.flow(t, 2_000)
	idle := dial(t, p.addr)
	idle.says("mn\r\n")
	idle.sees("MN\r\n")

	from := p.Stderr.Count()
	p.signal(syscall.SIGTERM)
	unready(t, p.admin)
	l.flow(t, 2_000) // clients that have not looked at /readyz yet
	late := dial(t, p.addr)
	late.says("set late 0 0 1\r\nv\r\nget late\r\n")
	late.sees("STORED\r\nVALUE late 0 1\r\nv\r\nEND\r\n")
	p.swap(reloaded(urls, 1))
	p.signal(syscall.SIGHUP)
	p.logged(from, "configuration loaded", `"generation":2`)
	l.end(t) // the load goes elsewhere: whatever it had sent is answered, and right
	idle.says("mn\r\n")
	idle.sees("MN\r\n")

	for _, c := range []*client{idle, late} { // closed at the end, and in order
		if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
			t.Errorf("a silent connection ends with %q, %v", rest, err)
		}
	}
	p.logged(from, "closing")
	p.exit(0)
}

func TestSecondSignalCutsADrainDelay(t *testing.T) {
	p, _, c := startHeld(t, "--drain-delay", "10m")
	p.signal(syscall.SIGTERM)
	unready(t, p.admin)
	p.signal(syscall.SIGINT)
	p.exit(1)
	if got, _ := io.ReadAll(c.r); len(got) > 0 {
		t.Errorf("the client got %q", got)
	}
}

// TestLeafIsUnreadyWhileItStops: with a client of its own that is in the middle of a request.
func TestLeafIsUnreadyWhileItStops(t *testing.T) {
	l := startLeaf(t, "leaf-1", "127.0.0.1:0", "--memcached", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--drain", "20s")
	f := l.logged(0, "leaf ready")
	c := dial(t, f["memcached"].(string))
	c.says("get none\r\nset k 0 0 4\r\nab")
	c.sees("END\r\n")
	l.signal(syscall.SIGTERM)
	unready(t, f["admin"].(string))
	c.says("cd\r\n")
	c.ends("STORED\r\n")
	l.exit(0)
}
