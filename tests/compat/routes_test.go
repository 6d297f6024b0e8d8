// Package compat holds what runs memcached's own tests against Tidepool (run), and compares Tidepool with memcached's proxy: the same
// configuration in front of the same servers, the same conversation, then the answers and what the servers saw.
//
// It needs PEER_MEMCACHED, a memcached built with its proxy, PROXYLIBS, the folder of memcached-proxylibs, and TIDEPOOL, our binary, for the
// older API also PEER_MEMCACHED_OLD, a memcached of 1.6.23 to 1.6.29; `make compat` sets them. Configurations name their servers' addresses,
// so those must be free: `unshare -n` helps. Requests are random; COMPAT_SEED, which a run tells, repeats them, and
// COMPAT_KEEP names a folder where configurations that are made by chance stay.
package compat

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unordered are prefixes whose routes try children in the order of Lua's pairs, which is chance in memcached's, or want who is fastest.
var unordered = map[string][]string{
	"routes-config":  {"failoverzone/", "allfastest/", "allfastestnomiss/", "zfailover/"},
	"startup-config": {"bar/", "bee/", "cee/", "wrapr/", "wrp/"},
	"zfailover away": {"bar/"}, // which of two errors is the worst
}

// random are the configurations whose routes choose by chance: of their servers only the sum is compared.
var random = map[string]bool{"basic-replicate": true, "prefix-replicate": true}

// address is a server's in a configuration; no _down_ one is needed.
var address = regexp.MustCompile(`"(127\.\d+\.\d+\.\d+):(\d+)( \w+)?"|host = "(127\.\d+\.\d+\.\d+)", port = (\d+)|'(127\.\d+\.\d+\.\d+)', (\d+)`)

func TestRoutesAsMemcached(t *testing.T) {
	peer, libs, ours := os.Getenv("PEER_MEMCACHED"), os.Getenv("PROXYLIBS"), os.Getenv("TIDEPOOL")
	if peer == "" || libs == "" || ours == "" {
		t.Skip("SKIPPED: PEER_MEMCACHED (a memcached with its proxy), PROXYLIBS (memcached-proxylibs) and TIDEPOOL (bin/tidepool) are not all set")
	}
	files, _ := filepath.Glob(filepath.Join(libs, "lib/routelib/examples/*.lua"))
	more, _ := filepath.Glob(filepath.Join(libs, "lib/routelib/t/*-config.lua"))
	if len(files) == 0 {
		t.Fatalf("no examples below PROXYLIBS %q", libs)
	}
	for _, file := range append(files, more...) {
		name := strings.TrimSuffix(filepath.Base(file), ".lua")
		if name == "customroute-lib" {
			continue // a part of customroute
		}
		for _, away := range []bool{false, true} {
			if away && random[name] {
				continue // who is asked, and so what is answered, is chance
			}
			t.Run(fmt.Sprintf("%s/away=%v", name, away), func(t *testing.T) { compareRoutes(t, peer, ours, libs, file, away) })
		}
	}
}

// compareRoutes runs the conversation of a configuration through both. With away every second server is not there.
func compareRoutes(t *testing.T, peer, ours, libs, file string, away bool) {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSuffix(filepath.Base(file), ".lua")
	not := unordered[name]
	if away {
		not = append(slices.Clone(not), unordered[name+" away"]...)
	}
	p := plan{addrs: servers(string(src)), same: known, sum: random[name]}
	s := seed(t)
	p.talk = conversation(string(src), random[name], not, s)
	if away {
		p.addrs = everySecond(p.addrs)
	}
	if random[name] {
		p.same = func(req, mine, theirs string) (string, string) {
			mine, theirs = known(req, mine, theirs)
			return anyServer.ReplaceAllString(mine, "x"), anyServer.ReplaceAllString(theirs, "x")
		}
	}
	for _, m := range tagged.FindAllStringSubmatch(string(src), -1) {
		p.tags = append(p.tags, m[1])
	}
	p.scatter(s)
	p.config = filepath.Join(libs, "lib/routelib/routelib.lua")
	switch {
	case strings.Contains(string(src), "mcp_config_pools"):
		p.config = file
	case name == "customroute":
		p.config += ":" + filepath.Join(filepath.Dir(file), "customroute-lib.lua")
		fallthrough
	default:
		p.config += ",proxy_arg=" + file
	}
	p.compare(t, peer, ours)
}

// tagged is where a configuration names the tag of a listener.
var tagged = regexp.MustCompile(`(?m)^\s*tag = "(\w+)"`)

var anyServer = regexp.MustCompile(`127[.\d]+:\d+`)

// ourVersion is what we add to the version that memcached's clients look for.
var ourVersion = regexp.MustCompile(`(?m)^(VERSION \S+)-tidepool\r$`)

// known makes equal what is known to differ: see docs/compat.md.
func known(req, mine, theirs string) (string, string) {
	mine = ourVersion.ReplaceAllString(mine, "$1\r")
	const bad, nowhere = "CLIENT_ERROR bad data chunk\r\n", "SERVER_ERROR lua start failure\r\n"
	if strings.Contains(req, "\r\nabc\r\n") { // we look at a value before we look for its route
		theirs = strings.ReplaceAll(theirs, nowhere, bad)
		mine = strings.ReplaceAll(mine, nowhere, bad)
	}
	if strings.Contains(req, "me null/") { // its null answer is none at all: the client waits for ever
		mine = strings.ReplaceAll(mine, "SERVER_ERROR bad response\r\n", "")
	}
	return mine, theirs
}

// servers are the addresses that a configuration names and that are to be there.
func servers(src string) (addrs []string) {
	for _, m := range address.FindAllStringSubmatch(src, -1) {
		a := net.JoinHostPort(m[1]+m[4]+m[6], m[2]+m[5]+m[7])
		if m[3] != " _down_" && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

var mapKey = regexp.MustCompile(`(?m)^\s+(\w+) = (?:route_|cmdmap)|\["(\w+)"\] = new_`)

// conversation is every command with every word below every prefix that a configuration could mean, and then random ones, some of them
// pipelined.
func conversation(src string, byChance bool, not []string, seed uint64) (talk []string) {
	prefixes := []string{"", "foo/", "other/"}
	for _, m := range mapKey.FindAllStringSubmatch(src, -1) {
		switch p := m[1] + m[2] + "/"; {
		case strings.HasPrefix(p, "ratelim"), p == "random/", p == "internal/", slices.Contains(not, p): // depend on time, on chance, on the store
		case !slices.Contains(prefixes, p):
			prefixes = append(prefixes, p)
		}
	}
	words := []string{"hit", "miss", "err", "odd", "even", "bad", "{hit}x", "a{even}"}
	if byChance {
		words = words[:2]
	}
	return talkOf(prefixes, words, seed)
}

// talkOf is every form with every word below every prefix, then random ones.
func talkOf(prefixes, words []string, seed uint64) (talk []string) {
	one := func(form, key string) string { return strings.ReplaceAll(form, "K", key) }
	for _, p := range prefixes {
		for _, w := range words {
			if p+w == "" {
				continue
			}
			for _, f := range forms {
				talk = append(talk, one(f, p+w))
			}
		}
	}
	rnd := rand.New(rand.NewPCG(seed, 1))
	pick := func(list []string) string { return list[rnd.IntN(len(list))] }
	for range 600 {
		req := ""
		for range 1 + rnd.IntN(4)*rnd.IntN(2) {
			key := fmt.Sprintf("%s%s%d", pick(prefixes), pick(words), rnd.IntN(50))
			req += one(pick(forms), key)
		}
		talk = append(talk, req)
	}
	return talk
}

// forms are requests, with K for the key.
var forms = []string{
	"get K\r\n", "gets K\r\n", "gat 10 K\r\n", "gats 10 K\r\n", "get K K2 K3\r\n", "get\r\n",
	"set K 1 0 2\r\nab\r\n", "set K 1 0 2 noreply\r\nab\r\n", "add K 0 0 1\r\nx\r\n", "replace K 0 60 0\r\n\r\n",
	"append K 0 0 1\r\nx\r\n", "prepend K 0 0 1\r\nx\r\n", "cas K 0 0 1 9\r\nx\r\n", "set K 0 0 2\r\nabc\r\n",
	"incr K 1\r\n", "decr K 2\r\n", "incr K\r\n", "touch K 30\r\n", "delete K\r\n", "delete K noreply\r\n",
	"mg K\r\n", "mg K v t f\r\n", "mg K v q k O9\r\n", "ms K 2\r\nab\r\n", "ms K 2 T90 k\r\nab\r\n", "ms K 2 q O1\r\nab\r\n",
	"md K\r\n", "md K q\r\n", "ma K N0 J1\r\n", "me K\r\n", "ms K S2\r\n",
}
