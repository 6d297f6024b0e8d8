// Keys and flushes through the binary, and the lines that scripts read.

package main

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/leaf/store"
)

func TestKeyLines(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	l := &store.Listed{Size: 3, Item: store.Item{
		Key: []byte("user:1 \x00\xff%aZ~"), CAS: 1<<64 - 1, Flags: 5, Exp: now.UnixMilli() + 1500, Access: now.UnixMilli() - 1, Bits: store.BitFetched | store.BitStale,
	}}
	ever := &store.Listed{Item: store.Item{Key: []byte("é"), CAS: 1, Access: now.UnixMilli()}}
	f := func(got []byte, want string) {
		t.Helper()
		if string(got) != want+"\n" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(dumpLine(nil, l, now), "key=user%3A1%20%00%FF%25aZ~ exp=1700000001 la=1699999999 cas=18446744073709551615 fetch=yes size=3 flags=5 ttl=2")
	f(dumpLine(nil, ever, now), "key=%C3%A9 exp=-1 la=1700000000 cas=1 fetch=no size=0 flags=0 ttl=-1")
	f(keyLine(nil, l, now), "user%3A1%20%00%FF%25aZ~")
	f(jsonLine(nil, l, now), `{"key_base64":"dXNlcjoxIAD/JWFafg==","size":3,"exp":1700000001,"ttl":2,"la":1699999999,"cas":"18446744073709551615","flags":5,"fetched":true,"stale":true}`)
	f(jsonLine(nil, ever, now), `{"key":"é","size":0,"exp":-1,"ttl":-1,"la":1700000000,"cas":"1","flags":0,"fetched":false}`)
}

// tool runs tidepool to its end.
func tool(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var errs strings.Builder
	c := exec.Command(binary, args...)
	c.Stderr = &errs
	out, _ := c.Output()
	if got := c.ProcessState.ExitCode(); got != code {
		t.Fatalf("tidepool %q: exit code %d, want %d\n%s%s", args, got, code, out, errs.String())
	}
	return string(out), errs.String()
}

// TestLeafKeys: keys of a leaf that clients of a proxy wrote, and flushes of them by command.
func TestLeafKeys(t *testing.T) {
	pub, key := seed(t)
	l := start(t, "leaf", "--name", "leaf-1", "--listen", "127.0.0.1:0", "--memory", "16MiB", "--authorized-nkeys", write(t, "keys", pub+"\n"))
	url := l.logged(0, "leaf ready")["url"].(string)
	_, addr, _ := startProxy(t, oneLeaf(url), "--leaf-nkey", key)
	stores(t, addr)
	var sets strings.Builder
	for i := range 500 {
		fmt.Fprintf(&sets, "set user:%d 7 0 %d\r\n%d\r\n", i, len(fmt.Sprint(i)), i)
	}
	talk(t, addr, sets.String(), 500)
	if got := talk(t, addr, "ms YSBi 1 b T100\r\nx\r\nmg user:5\r\nmg user:5\r\n", 3); got != "HD\r\nHD\r\nHD\r\n" {
		t.Fatalf("%q", got)
	}
	at := []string{"--from", url, "--leaf-nkey", key}
	keys := func(args ...string) []string {
		t.Helper()
		out, _ := tool(t, 0, slices.Concat([]string{"leaf", "keys"}, at, args)...)
		return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	}
	if all := keys(); len(all) != 502 {
		t.Errorf("%d keys", len(all))
	}
	if all := keys("--prefix", "user:", "--format", "keys"); len(all) != 500 || !slices.Contains(all, "user%3A499") {
		t.Errorf("%d keys: %.200q", len(all), all)
	}
	hot := keys("--prefix", "user:", "--hottest", "--limit", "1")
	if len(hot) != 1 || !strings.HasPrefix(hot[0], "key=user%3A5 exp=-1 la=") || !strings.HasSuffix(hot[0], " fetch=yes size=1 flags=7 ttl=-1") {
		t.Errorf("the hottest: %q", hot)
	}
	var odd struct {
		Key  string
		Size int
		TTL  int64
		CAS  string
	}
	if line := keys("--prefix", "a ", "--format", "json"); len(line) != 1 || json.Unmarshal([]byte(line[0]), &odd) != nil ||
		odd.Key != "a b" || odd.Size != 1 || odd.TTL < 50 || odd.TTL > 100 || odd.CAS == "" {
		t.Errorf("an odd key: %q", line)
	}
	out, _ := tool(t, 0, slices.Concat([]string{"leaf", "flush", "--prefix", "user:"}, at)...)
	if out != "flushed prefix \"user:\" of leaf-1\n" {
		t.Errorf("%q", out)
	}
	if got := talk(t, addr, "mg user:5\r\nmg k v\r\n", 3); got != "EN\r\nVA 1\r\nv\r\n" {
		t.Errorf("after a flush of a prefix: %q", got)
	}
	if out, _ := tool(t, 0, slices.Concat([]string{"leaf", "flush", "--all"}, at)...); out != "flushed all items of leaf-1\n" {
		t.Errorf("%q", out)
	}
	if left := keys(); left[0] != "" {
		t.Errorf("after a flush of all: %q", left)
	}

	fails := func(code int, want string, args ...string) {
		t.Helper()
		if _, errs := tool(t, code, args...); !strings.HasPrefix(errs, "tidepool: cannot ") || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: %q, want %q", args, errs, want)
		}
	}
	fails(2, "want --from nats://host:port/NAME", "leaf", "keys")
	fails(2, `"127.0.0.1:1" is no leaf's address`, "leaf", "keys", "--from", "127.0.0.1:1")
	fails(2, "want --prefix PREFIX or --all", "leaf", "flush", "--from", url)
	fails(2, "want --prefix PREFIX or --all", "leaf", "flush", "--from", url, "--all", "--prefix", "x")
	fails(2, `invalid argument "xml" for "--format" flag`, "leaf", "keys", "--from", url, "--format", "xml")
	fails(2, `prefix of 251 bytes`, "leaf", "keys", "--from", url, "--prefix", strings.Repeat("k", 251))
	fails(1, "Authorization Violation", "leaf", "keys", "--from", url)
	fails(1, `leaf "leaf-9": no leaf of that name is there`, slices.Concat([]string{"leaf", "keys"}, []string{"--from", url + "/leaf-9", "--leaf-nkey", key})...)
	fails(1, `cannot flush leaf "leaf-9"`, slices.Concat([]string{"leaf", "flush", "--all"}, []string{"--from", url + "/leaf-9", "--leaf-nkey", key})...)
}

// TestFlushByAdmin: a leaf's own page, and a proxy's with and without --allow-flush.
func TestFlushByAdmin(t *testing.T) {
	var urls []string
	var admin string
	for i := range 2 {
		l := start(t, "leaf", "--name", fmt.Sprintf("leaf-%d", i), "--listen", "127.0.0.1:0", "--memory", "8MiB", "--admin", "127.0.0.1:0")
		f := l.logged(0, "leaf ready")
		urls, admin = append(urls, fmt.Sprint(f["url"], "/leaf-", i)), "http://"+f["admin"].(string)
	}
	_, addr, may := startProxy(t, oneLeaf(urls...), "--allow-flush")
	_, other, mayNot := startProxy(t, oneLeaf(urls...))
	may, mayNot = "http://"+may, "http://"+mayNot
	const n = 200
	fill := func() {
		t.Helper()
		stores(t, addr)
		stores(t, other)
		var sets strings.Builder
		for i := range n {
			fmt.Fprintf(&sets, "set a:%d 0 0 1\r\nx\r\nset b:%d 0 0 1\r\nx\r\n", i, i)
		}
		talk(t, addr, sets.String(), 2*n)
	}
	left := func(prefix string) int {
		t.Helper()
		var gets strings.Builder
		for i := range n {
			fmt.Fprintf(&gets, "mg %s%d\r\n", prefix, i)
		}
		return strings.Count(talk(t, addr, gets.String(), n), "HD\r\n")
	}
	says := func(url string, status int, want string) {
		t.Helper()
		if got, line := post(t, url); got != status || line != want+"\n" {
			t.Errorf("%s: %d %q, want %d %q", url, got, line, status, want)
		}
	}
	fill()
	says(mayNot+"/flush?pool=default&prefix=a:", 403, `cannot flush pool "default": this proxy flushes nothing (--allow-flush allows it)`)
	says(may+"/flush?pool=other", 404, `cannot flush pool "other": there is no such pool: want "default"`)
	says(may+"/flush", 400, "cannot flush: want pool=NAME")
	says(admin+"/flush", 400, "cannot flush: want prefix=PREFIX or all=1, one of them")
	says(admin+"/flush?pool=default", 400, "cannot flush: a leaf has no pools")
	if got := talk(t, other, "flush_all\r\n", 1); got != "SERVER_ERROR not allowed\r\n" {
		t.Errorf("flush_all where it is not allowed: %q", got)
	}
	if a, b := left("a:"), left("b:"); a != n || b != n {
		t.Errorf("%d of a and %d of b are left, nothing was flushed", a, b)
	}
	says(may+"/flush?pool=default&prefix=a:", 200, `flushed prefix "a:" of leaf-0, leaf-1`)
	if a, b := left("a:"), left("b:"); a != 0 || b != n {
		t.Errorf("%d of a and %d of b are left, a was flushed", a, b)
	}
	says(admin+"/flush?prefix=b:", 200, `flushed prefix "b:" of leaf-1`)
	if b := left("b:"); b == 0 || b == n {
		t.Errorf("%d of b are left, one of two leaves was flushed", b)
	}
	says(may+"/flush?pool=default", 200, `flushed all items of leaf-0, leaf-1`)
	if b := left("b:"); b != 0 {
		t.Errorf("%d of b are left, all was flushed", b)
	}
	fill()
	if got := talk(t, addr, "flush_all\r\n", 1); got != "OK\r\n" || left("a:")+left("b:") != 0 {
		t.Errorf("flush_all: %q", got)
	}
	if m := get(t, admin+"/metrics"); !strings.Contains(m, `tidepool_leaf_flushes_total{leaf="leaf-1"} 2`) || !strings.Contains(m, `tidepool_leaf_streams{leaf="leaf-1"} 0`) {
		t.Error("the metrics do not tell of flushes and streams")
	}
}
