// The API as it was until memcached 1.6.29: configurations of simple.lua. memcached took it away with 1.6.30, so the peer is an older one.

package compat

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const flatPool = `pool{ name = "default", backends = { "127.0.0.1:11601" } }`

// simpleConfigs are configurations of upstream's simple.lua, which they require.
var simpleConfigs = []struct {
	name, text string
	words      []string // of keys; nil: those whose answer does not depend on which zone is faster
}{
	{"prefixes", `
pool{ name = "foo", backends = { "127.0.0.1:11601 one", "127.0.0.1:11602 two" } }
pool{ name = "bar", backends = { "127.0.0.1:11603" } }
`, oneZone},
	{"default", `
router{ router_type = "keyprefix", default_pool = "foo", log = true }
pool{ name = "foo", backends = { "127.0.0.1:11601 one", "127.0.0.1:11602 two" } }
pool{ name = "bar", backends = { "127.0.0.1:11603" } }
`, oneZone},
	{"kept prefix", `
router{ router_type = "keyprefix", match_prefix = "(%w+)/", prefix_trim = false, default_pool = "foo" }
pool{ name = "foo", backends = { "127.0.0.1:11601", "127.0.0.1:11602", "127.0.0.1:11603" } }
pool{ name = "bar", backends = { "127.0.0.1:11604" } }
`, oneZone},
	{"distributors", `
pool{ name = "foo", distributor = { dist = mcp.dist_ring_hash, hash = mcp.dist_ring_hash.hash, omode = "ketama" },
      backends = { "127.0.0.1:11601", "127.0.0.1:11602", "127.0.0.1:11603" } }
pool{ name = "bar", distributor = { dist = mcp.dist_jump_hash, seed = "s", filter = "tags", filter_conf = "{}" },
      backends = { "127.0.0.1:11604", "127.0.0.1:11605" } }
pool{ name = "zip", distributor = { filter = "stop", filter_conf = "|#|" }, backends = { "127.0.0.1:11606", "127.0.0.1:11607" } }
`, oneZone},
	{"flat without zones", "router{ router_type = 'flat' }\n" + flatPool, oneZone},
	{"flat without zones, logged", "router{ router_type = 'flat', log = true }\n" + flatPool, oneZone},
	{"flat zones", `
my_zone("z1")
router{ router_type = "flat", log = true }
pool{ name = "default", zones = { z1 = { "127.0.0.1:11601", "127.0.0.1:11602" }, z2 = { "127.0.0.1:11603", "127.0.0.1:11604" } } }
`, nil},
	{"zones", `
my_zone("z2")
verbose(true)
pool{ name = "foo", zones = { z1 = { "127.0.0.1:11601", "127.0.0.1:11602" }, z2 = { "127.0.0.1:11603", "127.0.0.1:11604" } },
      zone_distributors = { z1 = { dist = mcp.dist_jump_hash, seed = "z1" }, z2 = { dist = mcp.dist_ring_hash, omode = "twemproxy" } } }
pool{ name = "bar", backends = { "127.0.0.1:11605" } }
`, nil},
	{"three zones", `
my_zone("z2")
pool{ name = "foo", zones = { z1 = { "127.0.0.1:11601" }, z2 = { "127.0.0.1:11603" }, z3 = { "127.0.0.1:11605" } } }
`, nil},
	{"no such zone", `my_zone("z9") pool{ name = "foo", zones = { z1 = { "127.0.0.1:11601" } } }`, nil},
	{"no such type", "router{ router_type = 'round' }\n" + flatPool, nil},
	{"no address", `pool{ name = "foo", backends = { "somewhere" } }`, nil},
}

var (
	oneZone   = []string{"hit", "miss", "err", "odd", "even", "bad", "{hit}x", "a{even}", "hit|#|x"}
	manyZones = []string{"hit", "miss", "err"}
)

// olderPeer gives the programs and the folder that a test of the older API needs.
func olderPeer(t *testing.T) (peer, libs, ours string) {
	peer, libs, ours = os.Getenv("PEER_MEMCACHED_OLD"), os.Getenv("PROXYLIBS"), os.Getenv("TIDEPOOL")
	if peer == "" || libs == "" || ours == "" {
		t.Skip("SKIPPED: PEER_MEMCACHED_OLD (a memcached from 1.6.23 to 1.6.29 with its proxy), PROXYLIBS (memcached-proxylibs) and TIDEPOOL (bin/tidepool) are not all set")
	}
	return peer, libs, ours
}

// TestSimpleAsMemcached also takes the examples of simple.lua where PROXYLIBS still has them.
func TestSimpleAsMemcached(t *testing.T) {
	peer, libs, ours := olderPeer(t)
	lib := filepath.Join(libs, "lib/simple")
	if _, err := os.Stat(filepath.Join(lib, "simple.lua")); err != nil {
		t.Fatal(err)
	}
	type example struct {
		name, file string
		words      []string
	}
	var examples []example
	dir := t.TempDir()
	for i, c := range simpleConfigs {
		file := filepath.Join(dir, fmt.Sprintf("%d.lua", i)) // a name with a comma would end proxy_config
		if err := os.WriteFile(file, []byte("package.loaded.simple = nil\nlocal simple <const> = require('simple')\n"+c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		examples = append(examples, example{c.name, file, c.words})
	}
	more, _ := filepath.Glob(filepath.Join(lib, "examples/*.lua"))
	for _, file := range more {
		e := example{name: filepath.Base(file), file: file}
		if src, _ := os.ReadFile(file); !strings.Contains(string(src), "zones =") {
			e.words = oneZone
		}
		examples = append(examples, e)
	}
	for _, e := range examples {
		for _, away := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/away=%v", e.name, away), func(t *testing.T) {
				p := plan{config: e.file, env: []string{"LUA_PATH=" + lib + "/?.lua;;"}, same: known}
				src, err := os.ReadFile(e.file)
				if err != nil {
					t.Fatal(err)
				}
				if p.addrs = servers(string(src)); away {
					p.addrs = everySecond(p.addrs)
				}
				words := e.words
				if words == nil {
					words, p.same, p.anyOrder = manyZones, sameZones, true
				}
				prefixes := []string{"", "/bar/", "/zip/", "/other/"}
				if !oldRing.Match(src) {
					prefixes = append(prefixes, "/foo/", "foo/")
				}
				p.talk = talkOf(prefixes, words, seed(t))
				p.compare(t, peer, ours)
			})
		}
	}
}

// oldRing is a pool foo on the ring of mode "default", which puts every key on one server until memcached 1.6.44.
var oldRing = regexp.MustCompile(`"foo",\s+distributor = \{ dist = mcp.dist_ring_hash, hash = mcp.dist_ring_hash.hash \}`)

var (
	zonePort    = regexp.MustCompile(`(?m)^11\d\d\d\r$`) // what incr and decr are answered
	backendLost = "SERVER_ERROR backend failure\r\n"
	unlucky     = "SERVER_ERROR out of luck\r\n"
)

// sameZones makes equal which zone's answer came first.
func sameZones(req, mine, theirs string) (string, string) {
	mine, theirs = known(req, mine, theirs)
	f := func(s string) string {
		s = anyServer.ReplaceAllString(s, "x")
		return strings.ReplaceAll(zonePort.ReplaceAllString(s, "x\r"), unlucky, backendLost)
	}
	return f(mine), f(theirs)
}
