// Package compat holds what runs memcached's own tests against Tidepool (run), and compares Tidepool with memcached's proxy: the same
// configuration in front of the same servers, the same conversation, then the answers and what the servers saw.
//
// It needs PEER_MEMCACHED, a memcached built with its proxy, PROXYLIBS, the folder of memcached-proxylibs, and TIDEPOOL, our binary;
// `make compat` sets them. Configurations name their servers' addresses, so those must be free: `unshare -n` helps.
package compat

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 10 * time.Second

// unordered are prefixes whose routes try children in the order of Lua's pairs, which is chance in memcached's, or want who is fastest.
var unordered = map[string][]string{
	"routes-config":  {"failoverzone/", "allfastest/", "allfastestnomiss/", "zfailover/"},
	"startup-config": {"bar/", "bee/", "cee/", "wrapr/", "wrp/"},
	"zfailover away": {"bar/"}, // which of two errors is the worst
}

// random are the configurations whose routes choose by chance: of their servers only the sum is compared.
var random = map[string]bool{"basic-replicate": true, "prefix-replicate": true}

// address is a server's in a configuration; no _down_ one is needed.
var address = regexp.MustCompile(`"(127\.\d+\.\d+\.\d+):(\d+)( _down_)?"|host = "(127\.\d+\.\d+\.\d+)", port = (\d+)|'(127\.\d+\.\d+\.\d+)', (\d+)`)

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
			t.Run(fmt.Sprintf("%s/away=%v", name, away), func(t *testing.T) { compare(t, peer, ours, libs, file, away) })
		}
	}
}

// compare runs the conversation of a configuration through both. With away every second server is not there.
func compare(t *testing.T, peer, ours, libs, file string, away bool) {
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimSuffix(filepath.Base(file), ".lua")
	not := unordered[name]
	if away {
		not = append(slices.Clone(not), unordered[name+" away"]...)
	}
	talk := conversation(string(src), random[name], not, 7)
	addrs := servers(string(src))
	if away {
		var some []string
		for i, a := range addrs {
			if i%2 == 0 {
				some = append(some, a)
			}
		}
		addrs = some
	}
	config := "proxy_config=" + filepath.Join(libs, "lib/routelib/routelib.lua")
	switch {
	case strings.Contains(string(src), "mcp_config_pools"):
		config = "proxy_config=" + file
	case name == "customroute":
		config += ":" + filepath.Join(filepath.Dir(file), "customroute-lib.lua")
		fallthrough
	default:
		config += ",proxy_arg=" + file
	}
	theirs := converse(t, addrs, talk, peer, "-u", "root", "-o", config)
	mine := converse(t, addrs, talk, ours, "memcached", "-o", config)
	if strings.Contains(theirs.failed, "TLS support not compiled") && mine.failed == "" {
		t.Skip("SKIPPED: this memcached has no TLS; tidepool loads the configuration")
	}
	if (theirs.failed == "") != (mine.failed == "") {
		t.Fatalf("memcached: %q\ntidepool: %q", theirs.failed, mine.failed)
	}
	if theirs.failed != "" {
		t.Logf("both refuse it: %q", theirs.failed)
		return
	}
	wrong := 0
	for i, req := range talk {
		m, th := known(req, mine.answers[i], theirs.answers[i])
		if random[name] {
			m, th = anyServer.ReplaceAllString(m, "x"), anyServer.ReplaceAllString(th, "x")
		}
		if m != th {
			if wrong++; wrong <= 5 {
				t.Errorf("%q is answered %q, by memcached %q", req, mine.answers[i], theirs.answers[i])
			}
		}
	}
	if random[name] {
		mine.seen, theirs.seen = sum(mine.seen), sum(theirs.seen)
	}
	for _, a := range append(addrs, "") {
		m, th := mine.seen[a], theirs.seen[a]
		for i := range max(len(m), len(th)) {
			x, y := at(m, i), noreplyDelete.ReplaceAllString(at(th, i), "$1 0      \r\n")
			if x != y {
				t.Errorf("server %s: request %d is %q, by memcached %q (%d and %d in all)", a, i, x, y, len(m), len(th))
				break
			}
		}
	}
	t.Logf("%d requests, %d seen by servers, %d answers differ", len(talk), theirs.total, wrong)
}

var (
	anyServer = regexp.MustCompile(`127[.\d]+:\d+`)

	// Memcached itself refuses delete with another word than 0 or noreply, which its proxy sends all the same: see docs/compat.md.
	noreplyDelete = regexp.MustCompile(`^(delete \S+) noreplY\r\n$`)
)

// known makes equal what is known to differ: see docs/compat.md.
func known(req, mine, theirs string) (string, string) {
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

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "(none)"
}

func sum(seen map[string][]string) map[string][]string {
	var all []string
	for _, list := range seen {
		all = append(all, list...)
	}
	slices.Sort(all)
	return map[string][]string{"": all}
}

// servers are the addresses that a configuration names and that are to be there.
func servers(src string) (addrs []string) {
	for _, m := range address.FindAllStringSubmatch(src, -1) {
		a := net.JoinHostPort(m[1]+m[4]+m[6], m[2]+m[5]+m[7])
		if m[3] == "" && !slices.Contains(addrs, a) {
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
	one := func(form, key string) string { return strings.ReplaceAll(form, "K", key) }
	for _, p := range prefixes {
		for _, w := range words {
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
	"md K\r\n", "md K q\r\n", "ma K N0 J1\r\n", "me K\r\n", "ms K S2\r\nab\r\n",
}

// talked is what came of a conversation.
type talked struct {
	answers []string
	seen    map[string][]string
	total   int
	failed  string // it did not start: what it said
}

func converse(t *testing.T, addrs, talk []string, binary string, args ...string) (got talked) {
	t.Helper()
	f := startFakes(t, addrs)
	defer f.stop()
	sock := filepath.Join(t.TempDir(), "s")
	var stderr strings.Builder
	c := exec.Command(binary, append(args, "-t", "1", "-s", sock)...)
	c.Stderr, c.Stdout = &stderr, io.Discard
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { c.Wait(); close(ended) }()
	defer func() {
		c.Process.Signal(syscall.SIGKILL)
		<-ended
	}()
	var conn net.Conn
	for end := time.Now().Add(patience); conn == nil; time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			got.failed = "it ended: " + stderr.String()
			return got
		default:
		}
		if conn, _ = net.Dial("unix", sock); conn == nil && time.Now().After(end) {
			t.Fatalf("%s does not listen: %s", binary, stderr.String())
		}
	}
	defer func() { conn.Close() }()
	time.Sleep(300 * time.Millisecond) // so that connections are there, or have failed
	r := bufio.NewReader(conn)
	for _, req := range talk {
		text, err := ask(conn, r, req)
		if err != nil { // whether a last line arrives before the end is chance
			text = "(closed)"
			conn.Close()
			next, err := net.Dial("unix", sock)
			if err != nil { // it has listened, and then found that it cannot start
				<-ended
				got.failed = "it ended: " + stderr.String()
				return got
			}
			conn = next
			r.Reset(conn)
		}
		got.answers = append(got.answers, text)
	}
	for n := -1; n != f.count(); time.Sleep(100 * time.Millisecond) {
		n = f.count()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	got.seen, got.total = f.seen, f.total
	f.seen = nil
	return got
}

// ask gives what a request is answered.
func ask(conn net.Conn, r *bufio.Reader, req string) (text string, err error) {
	conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, req+"mn\r\n"); err != nil {
		return "", err
	}
	for !strings.HasSuffix(text, "MN\r\n") {
		line, err := r.ReadString('\n')
		if text += line; err != nil {
			return "", err
		}
	}
	return strings.TrimSuffix(text, "MN\r\n"), nil
}
