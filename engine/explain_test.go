package engine

import (
	"slices"
	"strings"
	"testing"
)

// explained runs one get through a pool made with opts, over backends that differ by weight and name.
func explained(t *testing.T, opts, key string) (*Explanation, error) {
	t.Helper()
	return Explain(placing(t, opts), "", []byte("get "+key+"\r\n"))
}

// placing is a configuration with a pool made with opts.
func placing(t *testing.T, opts string) Options {
	t.Helper()
	return Options{Local: noting{}, Files: []string{writeConfig(t, `
function mcp_config_pools()
    local function be(n, more) more.label, more.host, more.port = "b" .. n, "10.0.0." .. n, 11211; return mcp.backend(more) end
    return mcp.pool(`+opts+`)
end
function mcp_config_routes(pool) mcp.attach(mcp.CMD_GET, pool) end
`)}}
}

// A constant, its name, and what the distribution takes by itself lead to one place; package pools' tests say which is right.
func TestScriptsNamePlacements(t *testing.T) {
	const plain, weighted = "{ be(1, {}), be(2, {}), be(3, {}) }, ", "{ be(1, {}), be(2, { weight = 5 }), be(3, { weight = 0.5 }) }, "
	const whole = "{ be(1, {}), be(2, { weight = 5 }), be(3, { hash_name = 'third' }) }, "
	f := func(hash string, same ...string) {
		t.Helper()
		var first []int
		for i, opts := range same {
			var places []int
			x, err := rehearse(placing(t, opts), "", &script{})
			if err != nil {
				t.Fatalf("%s: %v", opts, err)
			}
			for _, key := range []string{"a", "b", "foo", "user:1", "user:2", "user:3", "k{tag}x", "k{tag}y", "zzz"} {
				at := x.g.pools[0].Explain([]byte(key))
				if hash == "none" != at.ByKey {
					t.Errorf("%s: hashes keys itself: %v", opts, at.ByKey)
				}
				places = append(places, at.Index)
			}
			x.close()
			if i == 0 {
				first = places
			} else if !slices.Equal(first, places) {
				t.Errorf("%s places keys %v,\n%s places them %v", same[0], first, opts, places)
			}
		}
	}
	f("", plain+"{}", plain+"{ dist = mcp.dist_jump_hash }", plain+"{ dist = 'jump' }", plain+"{ dist = 'jump_hash', hash = mcp.hash_xxhash }", plain+"{ hash = 'xxhash' }")
	f("", plain+"{ dist = mcp.dist_ring_hash }", plain+"{ dist = 'ring_hash' }")
	f("", plain+"{ dist = mcp.dist_ring_hash, hash = mcp.dist_ring_hash.hash }", plain+"{ dist = 'ring', hash = mcp.hash_md5 }")
	f("", whole+"{ dist = mcp.dist_ketama }", whole+"{ dist = 'ketama', hash = 'md5' }")
	f("", whole+"{ dist = mcp.dist_modula }", whole+"{ dist = mcp.dist_modula, hash = mcp.hash_one_at_a_time }")
	f("", weighted+"{ dist = mcp.dist_rendezvous }", weighted+"{ dist = 'rendezvous' }")
	f("none", plain+"{ dist = mcp.dist_ch3, salt = 's' }", plain+"{ dist = 'ch3', salt = 's' }")
	f("none", "{ be(1, {}), be(2, { weight = 0 }) }, { dist = mcp.dist_weighted_ch3 }", "{ be(1, { weight = 0.5 }), be(2, { weight = 0 }) }, { dist = 'weighted_ch3' }")
	f("", plain+"{ dist = mcp.hash_jump, seed = 's' }", plain+"{ dist = mcp.dist_jump_hash, seed = 's' }") // names of memcached 1.6.13
	f("", plain+"{ dist = mcp.hash_murmur3 }", plain+"{ dist = mcp.dist_modula, hash = mcp.hash_murmur3_seed0 }")
	for _, name := range strings.Fields("md5 one_at_a_time crc16 crc32 crc32a fnv1_64 fnv1a_64 fnv1_32 fnv1a_32 hsieh murmur murmur3 murmur3_seed0 jenkins") {
		f("", whole+"{ dist = mcp.dist_ketama, hash = mcp.hash_"+name+", hash_tag = '{}' }", whole+"{ dist = 'ketama', hash = '"+name+"', hash_tag = '{}' }")
	}
}

func TestScriptsNamePlacementsWrongly(t *testing.T) {
	f := func(opts, want string) {
		t.Helper()
		if _, err := explained(t, opts, "a"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", opts, err, want)
		}
	}
	f("{ be(1, { weight = 2 }) }", `backend "b1" has a weight, and distribution jump has none`)
	f("{ be(1, { weight = -1 }) }, { dist = mcp.dist_ketama }", "mcp.backend: weight: want a number from 0 on, got -1")
	f("{ be(1, { weight = 'x' }) }", "mcp.backend: weight: want a number, got string")
	f("{ be(1, { hash_name = '' }) }", "mcp.backend: hash_name: it is empty")
	f("{ be(1, { hash_name = 1 }) }", "mcp.backend: hash_name: want a string, got number")
	f("{ be(1, {}) }, { dist = 'ketma' }", "unknown key distribution specified: ketma")
	f("{ be(1, {}) }, { dist = 7 }", "mcp.pool: dist: want a distribution such as mcp.dist_jump_hash, got number")
	f("{ be(1, {}) }, { dist = {} }", "key distribution object missing 'new' function")
	f("{ be(1, {}) }, { hash = 'sha1' }", "unknown hash specified: sha1 (there are crc16, ")
	f("{ be(1, {}) }, { hash = {} }", "mcp.pool: hash: want a hash such as mcp.hash_xxhash, got table")
	f("{ be(1, {}) }, { hash_tag = '{' }", `hash_tag "{": want two characters`)
	f("{ be(1, {}) }, { salt = 's' }", "distribution jump takes no salt")
}

func TestExplainRefusesWhatIsNoRequest(t *testing.T) {
	path := writeConfig(t, "pool{ name = 'default', backends = { '127.0.0.1:1' } } router{ router_type = 'flat' }")
	for text, want := range map[string]string{
		"get a":              `cannot read "get a" as one request`,
		"get a\r\nget b\r\n": "as one request",
		"get\r\n":            `cannot send "get\r\n": the proxy answers "`,
	} {
		if _, err := Explain(Options{Files: []string{path}}, "", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A tag that no route is attached for is most likely mistyped.
func TestExplainRefusesUnknownTags(t *testing.T) {
	f := func(attach, tag, want string) {
		t.Helper()
		path := writeConfig(t, "function mcp_config_pools() return true end function mcp_config_routes() local function f(r) return 'x' end "+attach+" end")
		e, err := Explain(Options{Files: []string{path}}, tag, []byte("get a\r\n"))
		switch {
		case err != nil && err.Error() != want:
			t.Errorf("%s, --tag %s: %v, want %q", attach, tag, err, want)
		case err == nil && (want != "" || e.Route == ""):
			t.Errorf("%s, --tag %s: the route is %q, want the error %q", attach, tag, e.Route, want)
		}
	}
	const tagged = `mcp.attach(mcp.CMD_GET, f, "b") mcp.attach(mcp.CMD_GET, f, "a1") mcp.attach(mcp.CMD_GET, f)`
	f(tagged, "b", "")
	f(tagged, "a1", "")
	f(tagged, "", "")
	f(tagged, "c", `no route is attached for the tag "c": there are ["a1" "b"]`)
	f(`mcp.attach(mcp.CMD_GET, f)`, "c", `no route is attached for the tag "c": the configuration has no tags`)
}
