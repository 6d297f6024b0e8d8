// The declarative examples over real memcached: where keys land, which zone is read, which are written.

package system_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/pools/hash"
	"github.com/tidepool-proxy/tidepool/tests/peer"
)

// startExample runs a file of examples/ with memcacheds in place of those of 127.0.0.1:11212 to 11215 that it names, which it gives
// connections to.
func startExample(t *testing.T, name string) (p *proxy, backends []*client) {
	t.Helper()
	peer.Need(t, "memcached")
	text, err := os.ReadFile("../../examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	config := string(text)
	for port := 11212; port <= 11215; port++ {
		old := fmt.Sprintf("127.0.0.1:%d", port)
		if !strings.Contains(config, old) {
			continue
		}
		addr := startMemcached(t)
		config = strings.ReplaceAll(config, old, addr)
		backends = append(backends, dial(t, addr))
	}
	p = startProxy(t, config)
	p.ready()
	eventually(t, "every backend is up", func() bool { return p.sum("tidepool_backend_up") == float64(len(backends)) })
	return p, backends
}

// has asks a memcached itself.
func (c *client) has(key, value string) bool {
	c.t.Helper()
	want := ""
	if value != absent {
		want = fmt.Sprintf("VALUE %s 0 %d\r\n%s\r\n", key, len(value), value)
	}
	return c.ask("get "+key+"\r\n") == want+"END\r\n"
}

// place is where memcached's proxy puts a key of a pool of two.
func place(key string) int { return hash.NewJump(2).Pick(hash.XXH3([]byte(key), 0)) }

// TestPlaceIsMemcacheds: two of the golden vectors of memcached's proxy, so that the tests below do not lean on our own
// hash alone.
func TestPlaceIsMemcacheds(t *testing.T) {
	if got := hash.XXH3([]byte("foo"), 0); got != 0xab6e5f64077e7d8a {
		t.Errorf("XXH3(foo) is %x", got)
	}
	for key, want := range map[string]int{"a": 1, "foo": 1, "/test/1": 1, "": 0, "user:1234567890": 0} {
		if got := place(key); got != want {
			t.Errorf("%q is at %d, want %d", key, got, want)
		}
	}
}

func TestPrefixExample(t *testing.T) {
	p, backends := startExample(t, "prefix.lua")
	c := dial(t, p.addr)
	used := map[int]int{}
	for i := range 50 {
		for n, pool := range []string{"foo", "bar"} {
			key := fmt.Sprintf("key:%d", i)
			value := fmt.Sprintf("%s-%d", pool, i)
			full := "/" + pool + "/" + key
			c.says(fmt.Sprintf("set %s 0 0 %d\r\n%s\r\nget %s\r\nmg %s k v\r\n", full, len(value), value, full, full))
			c.sees(fmt.Sprintf("STORED\r\nVALUE %s 0 %d\r\n%s\r\nEND\r\n", full, len(value), value))
			c.sees(fmt.Sprintf("VA %d k%s\r\n%s\r\n", len(value), full, value))
			at := n*2 + place(key)
			used[at]++
			for b, backend := range backends {
				if want := b == at; backend.has(key, value) != want {
					t.Errorf("%s: backend %d has it under %q: %v, want %v", full, b, key, !want, want)
				}
				if backend.ask("get "+full+"\r\n") != "END\r\n" {
					t.Errorf("%s: backend %d has it with its prefix", full, b)
				}
			}
		}
	}
	if len(used) != 4 {
		t.Errorf("keys went to %d backends, want 4: the test proves little", len(used))
	}
	c.says("get /foo/key:1 /bar/key:1 /foo/none /bar/key:2\r\n")
	c.sees("VALUE /foo/key:1 0 5\r\nfoo-1\r\nVALUE /bar/key:1 0 5\r\nbar-1\r\nVALUE /bar/key:2 0 5\r\nbar-2\r\nEND\r\n")
	for _, key := range []string{"key:1", "/baz/key:1", "/foo", "foo/key:1", "/f0o/key:1"} {
		c.says("get " + key + "\r\nset " + key + " 0 0 1\r\nx\r\n")
		c.sees("SERVER_ERROR no route\r\nSERVER_ERROR no route\r\n")
	}
	c.says("delete /foo/key:1\r\nget /foo/key:1\r\nget /bar/key:1\r\n")
	c.sees("DELETED\r\nEND\r\nVALUE /bar/key:1 0 5\r\nbar-1\r\nEND\r\n")
}

func TestZonesExample(t *testing.T) {
	p, backends := startExample(t, "zones.lua")
	c := dial(t, p.addr)
	key := func(i int) string { return fmt.Sprintf("key:%d", i) }
	near := func(i int) *client { return backends[place(key(i))] }
	far := func(i int) *client { return backends[2+place(key(i))] }
	says := func(i int, say, sees string) {
		t.Helper()
		c.says(strings.ReplaceAll(say, "KEY", "/foo/"+key(i)))
		c.sees(strings.ReplaceAll(sees, "KEY", "/foo/"+key(i)))
	}
	hold := func(b *client, i int, value string) {
		t.Helper()
		if !b.has(key(i), value) {
			t.Errorf("%s: want %q, a zone has %q", key(i), value, b.ask("get "+key(i)+"\r\n"))
		}
	}
	both := func(i int, value string) {
		t.Helper()
		hold(near(i), i, value)
		hold(far(i), i, value)
	}
	used := map[*client]bool{}
	for i := range 30 {
		used[near(i)], used[far(i)] = true, true
		says(i, "set KEY 0 0 1\r\n1\r\n", "STORED\r\n")
		both(i, "1")
		says(i, "incr KEY 4\r\n", "5\r\n")
		both(i, "5")
		says(i, "decr KEY 3\r\n", "2\r\n")
		both(i, "2")
		says(i, "append KEY 0 0 1\r\nb\r\nprepend KEY 0 0 1\r\na\r\n", "STORED\r\nSTORED\r\n")
		both(i, "a2b")
		says(i, "replace KEY 0 0 1\r\n7\r\nma KEY v\r\n", "STORED\r\nVA 1\r\n8\r\n")
		both(i, "8")
		says(i, "ms KEY 2 T100\r\nms\r\ntouch KEY 200\r\n", "HD\r\nTOUCHED\r\n")
		for _, b := range []*client{near(i), far(i)} {
			if got := b.ask("mg " + key(i) + " t v\r\n"); got != "VA 2 t200\r\nms\r\n" {
				t.Errorf("%s: a zone has %q after touch", key(i), got)
			}
		}
		says(i, "md KEY\r\n", "HD\r\n")
		both(i, absent)
		says(i, "add KEY 0 0 1\r\nx\r\n", "STORED\r\n")
		both(i, "x")

		// Reads: near first. Each zone is given a value of its own behind the proxy's back.
		far(i).says("set " + key(i) + " 0 0 3\r\nfar\r\n")
		far(i).sees("STORED\r\n")
		says(i, "get KEY\r\n", "VALUE KEY 0 1\r\nx\r\nEND\r\n")
		near(i).says("delete " + key(i) + "\r\n")
		near(i).sees("DELETED\r\n")
		says(i, "get KEY\r\nmg KEY v\r\n", "VALUE KEY 0 3\r\nfar\r\nEND\r\nVA 3\r\nfar\r\n")
		hold(near(i), i, absent) // a read repairs nothing
		says(i, "delete KEY\r\n", "DELETED\r\n")
		both(i, absent)
		says(i, "get KEY\r\n", "END\r\n")
	}
	if len(used) != 4 {
		t.Errorf("keys went to %d backends, want 4: the test proves little", len(used))
	}
	if got := dial(t, p.addr).hears("get key:1"); got != "SERVER_ERROR no route" {
		t.Errorf("without a prefix: %q", got)
	}
}
