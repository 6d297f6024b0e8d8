// The declarative format, on the wire: bytes and placement as memcached's simple.lua, answers with the client's key.

package engine

import "testing"

func TestKeyPrefix(t *testing.T) {
	foo, bar := newFakeBackend(t), newFakeBackend(t)
	p := startProxy(t, writeConfig(t, `
pool{ name = "foo", backends = { "$1" } }
pool{ name = "bar", backends = { "$2 label" } }
`, foo.addr(), bar.addr()))
	c := dial(t, p)
	for _, d := range []struct {
		b                             *fakeBackend
		client, backend, answer, sees string
	}{
		{foo, "get /foo/a\r\n", "get      a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n", "VALUE /foo/a 0 1\r\nx\r\nEND\r\n"},
		{bar, "get /bar/a\r\n", "get      a\r\n", "END\r\n", "END\r\n"},
		{bar, "set /bar/a 0 0 1\r\nx\r\n", "set      a 0 0 1\r\nx\r\n", "STORED\r\n", "STORED\r\n"},
		{foo, "mg /foo/a k v\r\n", "mg      a k v\r\n", "VA 1 ka\r\nx\r\n", "VA 1 k/foo/a\r\nx\r\n"},
		{foo, "mg /foo/a k\r\n", "mg      a k\r\n", "HD ka\r\n", "HD k/foo/a\r\n"},
		{foo, "incr /foo/n 1 noreply\r\n", "incr      n 1 noreplY\r\n", "2\r\n", ""},
	} {
		c.says(d.client)
		d.b.sees(d.backend)
		d.b.says(d.answer)
		c.sees(d.sees)
		c.silence()
	}
	c.says("get /baz/a\r\nget a /foo/ /f1/b\r\n")
	c.sees("SERVER_ERROR no route\r\nSERVER_ERROR no route\r\nCLIENT_ERROR nothing is left of the key behind its prefix\r\nSERVER_ERROR no route\r\nEND\r\n")
	c.says("get /foo/a /bar/b /foo/c\r\n")
	foo.sees("get      a\r\nget      c\r\n")
	bar.sees("get      b\r\n")
	bar.says("VALUE b 0 1\r\n2\r\nEND\r\n")
	foo.says("VALUE a 0 1\r\n1\r\nEND\r\nVALUE c 0 1\r\n3\r\nEND\r\n")
	c.sees("VALUE /foo/a 0 1\r\n1\r\nVALUE /bar/b 0 1\r\n2\r\nVALUE /foo/c 0 1\r\n3\r\nEND\r\n")
}

func TestKeyPrefixVariants(t *testing.T) {
	for _, d := range []struct{ name, router, client, backend string }{
		{"kept", `router{ prefix_trim = false }`, "get /foo/a\r\n", "get /foo/a\r\n"},
		{"Lua pattern", `router{ match_prefix = "(%w-):" }`, "get foo:a\r\n", "get     a\r\n"},
		{"Lua pattern, kept", `router{ match_prefix = "([^:]+):", prefix_trim = false }`, "get foo:a\r\n", "get foo:a\r\n"},
		{"native, no start", `router{ match_prefix = "(%a+):" }`, "get foo:a\r\n", "get     a\r\n"},
		{"default", `router{ default_pool = "foo" }`, "get a\r\n", "get a\r\n"},
		{"default, foreign prefix", `router{ default_pool = "foo" }`, "get /zzz/a\r\n", "get      a\r\n"},
		{"flat", `router{ router_type = "flat", default_pool = "foo" }`, "get /zzz/a\r\n", "get /zzz/a\r\n"},
		{"flat, logged", `router{ router_type = "flat", default_pool = "foo", log = true }`, "get a\r\n", "get a\r\n"},
	} {
		t.Run(d.name, func(t *testing.T) {
			b := newFakeBackend(t)
			c := dial(t, startProxy(t, writeConfig(t, `pool{ name = "foo", backends = { "$1" } }`+"\n"+d.router, b.addr())))
			c.says(d.client)
			b.sees(d.backend)
			b.says("END\r\n")
			c.sees("END\r\n")
		})
	}
}

// zoned is the second example of the format: two zones, the near one first.
func zoned(t *testing.T) (c *client, near, far *fakeBackend) {
	near, far = newFakeBackend(t), newFakeBackend(t)
	p := startProxy(t, writeConfig(t, `
my_zone("z1")
router{ router_type = "keyprefix", match_prefix = "/(%a+)/", default_pool = nil }
pool{ name = "foo", zones = { z1 = { "$1" }, z2 = { "$2" } } }
`, near.addr(), far.addr()))
	return dial(t, p), near, far
}

func TestZonesReadNearFirst(t *testing.T) {
	for _, d := range []struct{ name, near, far, sees string }{
		{"near hit", "VALUE a 0 1\r\nx\r\nEND\r\n", "", "VALUE a 0 1\r\nx\r\nEND\r\n"},
		{"far hit", "END\r\n", "VALUE a 0 1\r\ny\r\nEND\r\n", "VALUE a 0 1\r\ny\r\nEND\r\n"},
		{"near error, far hit", "SERVER_ERROR x\r\n", "VALUE a 0 1\r\ny\r\nEND\r\n", "VALUE a 0 1\r\ny\r\nEND\r\n"},
		{"both miss", "END\r\n", "END\r\n", "END\r\n"},
		{"a miss is better than an error", "END\r\n", "SERVER_ERROR x\r\n", "END\r\n"},
		{"near error, far miss", "SERVER_ERROR x\r\n", "END\r\n", "END\r\n"},
		{"both fail", "SERVER_ERROR x\r\n", "SERVER_ERROR y\r\n", "SERVER_ERROR x\r\n"},
	} {
		t.Run(d.name, func(t *testing.T) {
			c, near, far := zoned(t)
			c.says("get /foo/a\r\n")
			near.sees("get      a\r\n")
			near.says(d.near)
			if d.far != "" {
				far.sees("get      a\r\n")
				far.says(d.far)
			}
			want := d.sees
			if want[0] == 'V' {
				want = "VALUE /foo/" + want[len("VALUE "):]
			}
			c.sees(want)
			c.silence()
		})
	}
}

func TestZonesWriteEverywhere(t *testing.T) {
	for _, d := range []struct{ client, backend, near, far, sees string }{
		{"set /foo/a 0 0 1\r\nx\r\n", "set      a 0 0 1\r\nx\r\n", "STORED\r\n", "STORED\r\n", "STORED\r\n"},
		{"delete /foo/a\r\n", "delete      a\r\n", "NOT_FOUND\r\n", "DELETED\r\n", "DELETED\r\n"},
		{"add /foo/a 0 0 1\r\nx\r\n", "add      a 0 0 1\r\nx\r\n", "NOT_STORED\r\n", "NOT_STORED\r\n", "NOT_STORED\r\n"},
		{"touch /foo/a 9\r\n", "touch      a 9\r\n", "TOUCHED\r\n", "SERVER_ERROR x\r\n", "TOUCHED\r\n"},
		{"incr /foo/a 9\r\n", "incr      a 9\r\n", "10\r\n", "NOT_FOUND\r\n", "10\r\n"},
		{"ma /foo/a\r\n", "ma      a\r\n", "HD\r\n", "HD\r\n", "HD\r\n"},
		{"md /foo/a\r\n", "md      a\r\n", "HD\r\n", "NF\r\n", "HD\r\n"},
		{"ms /foo/a 1\r\nx\r\n", "ms      a 1\r\nx\r\n", "HD\r\n", "HD\r\n", "HD\r\n"},
		{"cas /foo/a 0 0 1 5\r\nx\r\n", "cas      a 0 0 1 5\r\nx\r\n", "EXISTS\r\n", "SERVER_ERROR\r\n", "EXISTS\r\n"},
		{"append /foo/a 0 0 1\r\nx\r\n", "append      a 0 0 1\r\nx\r\n", "STORED\r\n", "NOT_STORED\r\n", "STORED\r\n"},
	} {
		t.Run(d.client[:6], func(t *testing.T) {
			c, near, far := zoned(t)
			c.says(d.client)
			near.sees(d.backend)
			far.sees(d.backend)
			near.says(d.near)
			far.says(d.far)
			c.sees(d.sees)
			c.silence()
		})
	}
}
