// Other people's clients against a proxy over three leaves: gomemcache, and libmemcached's tools.

package system_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/tidepool-proxy/tidepool/tests/peer"
)

// startDev runs what a stranger runs first, on free ports, and gives its clients' address.
func startDev(t *testing.T, args ...string) (p *process, addr, banner string) {
	t.Helper()
	p = start(t, append([]string{"dev", "--leaf-port", "0", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--memory", "16MiB"}, args...)...)
	if p.Stdout.Find(0, patience, "Ctrl-C stops.") == "" {
		t.Fatalf("no banner:\n%s\n%s", p.Stdout.Text(), p.Stderr.Tail())
	}
	banner = p.Stdout.Text()
	_, rest, _ := strings.Cut(banner, "clients  ")
	addr, _, _ = strings.Cut(rest, "\n")
	return p, addr, banner
}

func TestGomemcache(t *testing.T) {
	_, addr, _ := startDev(t, "--allow-flush")
	c := memcache.New(addr)
	c.Timeout = patience
	defer c.Close()

	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	fails := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
	}
	holds := func(key, value string, flags uint32) {
		t.Helper()
		it, err := c.Get(key)
		if err != nil {
			t.Errorf("Get %s: %v", key, err)
		} else if string(it.Value) != value || it.Flags != flags || it.Key != key {
			t.Errorf("Get %s: %q flags %d key %q, want %q flags %d", key, it.Value, it.Flags, it.Key, value, flags)
		}
	}
	ok("Ping", c.Ping())
	_, err := c.Get("none")
	fails("Get", err, memcache.ErrCacheMiss)
	ok("Set", c.Set(&memcache.Item{Key: "a", Value: []byte("one"), Flags: 7}))
	holds("a", "one", 7)
	fails("Add", c.Add(&memcache.Item{Key: "a", Value: []byte("x")}), memcache.ErrNotStored)
	ok("Add", c.Add(&memcache.Item{Key: "b", Value: []byte("two")}))
	fails("Replace", c.Replace(&memcache.Item{Key: "none", Value: []byte("x")}), memcache.ErrNotStored)
	ok("Replace", c.Replace(&memcache.Item{Key: "b", Value: []byte("TWO"), Flags: 9}))
	fails("Append", c.Append(&memcache.Item{Key: "none", Value: []byte("x")}), memcache.ErrNotStored)
	ok("Append", c.Append(&memcache.Item{Key: "b", Value: []byte(">")}))
	fails("Prepend", c.Prepend(&memcache.Item{Key: "none", Value: []byte("x")}), memcache.ErrNotStored)
	ok("Prepend", c.Prepend(&memcache.Item{Key: "b", Value: []byte("<")}))
	holds("b", "<TWO>", 9)

	it, err := c.Get("a")
	ok("Get", err)
	it.Value = []byte("swapped")
	ok("CompareAndSwap", c.CompareAndSwap(it))
	fails("CompareAndSwap", c.CompareAndSwap(it), memcache.ErrCASConflict)
	holds("a", "swapped", 7)
	ok("Delete", c.Delete("a"))
	fails("Delete", c.Delete("a"), memcache.ErrCacheMiss)
	it.Value = []byte("x")
	if err := c.CompareAndSwap(it); !errors.Is(err, memcache.ErrNotStored) && !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("CompareAndSwap of what has gone: %v", err)
	}

	ok("Set", c.Set(&memcache.Item{Key: "n", Value: []byte("41")}))
	if n, err := c.Increment("n", 1); n != 42 || err != nil {
		t.Errorf("Increment: %d, %v", n, err)
	}
	if n, err := c.Decrement("n", 50); n != 0 || err != nil {
		t.Errorf("Decrement: %d, %v", n, err)
	}
	_, err = c.Increment("none", 1)
	fails("Increment", err, memcache.ErrCacheMiss)

	fails("Touch", c.Touch("none", 100), memcache.ErrCacheMiss)
	ok("Touch", c.Touch("n", 100))
	if it, err := c.GetAndTouch("n", 1); err != nil || strings.TrimSpace(string(it.Value)) != "0" {
		t.Errorf("GetAndTouch: %v, %v", it, err)
	}
	_, err = c.GetAndTouch("none", 1)
	fails("GetAndTouch", err, memcache.ErrCacheMiss)

	var keys []string
	for i := range 100 { // over every leaf
		key := fmt.Sprintf("multi:%d", i)
		ok("Set", c.Set(&memcache.Item{Key: key, Value: bytes.Repeat([]byte{byte(i)}, i*100)}))
		keys = append(keys, key, "not:"+key)
	}
	got, err := c.GetMulti(keys)
	ok("GetMulti", err)
	for i := range 100 {
		if it := got[fmt.Sprintf("multi:%d", i)]; it == nil || !bytes.Equal(it.Value, bytes.Repeat([]byte{byte(i)}, i*100)) {
			t.Errorf("GetMulti: multi:%d is %v", i, it)
		}
	}
	if len(got) != 100 {
		t.Errorf("GetMulti: %d items, want 100", len(got))
	}
	ok("FlushAll", c.FlushAll())
	if got, err = c.GetMulti(append(keys, "b", "n")); len(got) > 0 || err != nil {
		t.Errorf("GetMulti after FlushAll: %d items, %v", len(got), err)
	}
}

// tool runs one of libmemcached's.
func tool(t *testing.T, stdin, name, addr string, args ...string) (stdout string, code int) {
	t.Helper()
	c := exec.CommandContext(t.Context(), peer.Need(t, name), append([]string{"--servers=" + addr}, args...)...)
	var out, errs bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", name, err)
	}
	if errs.Len() > 0 {
		t.Logf("%s %v: %s", name, args, errs.String())
	}
	return out.String(), c.ProcessState.ExitCode()
}

func TestLibmemcachedTools(t *testing.T) {
	peer.Need(t, "memccat")
	_, addr, _ := startDev(t, "--allow-flush")
	dir := t.TempDir()
	var files []string
	for i, size := range []int{5, 1000, 300_000} { // on several leaves
		path := filepath.Join(dir, fmt.Sprintf("file-%d", i))
		if err := os.WriteFile(path, bytes.Repeat([]byte{'a' + byte(i)}, size), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	f := func(want string, code int, name string, args ...string) {
		t.Helper()
		got, exit := tool(t, "", name, addr, args...)
		if exit != code || !strings.Contains(got, want) {
			t.Errorf("%s %v: exit code %d and %.80q, want %d and %.80q", name, args, exit, got, code, want)
		}
	}
	f("", 0, "memcping")
	f("", 0, "memccp", files...)
	f("aaaaa", 0, "memccat", "file-0")
	f(strings.Repeat("b", 1000), 0, "memccat", "file-1")
	f(strings.Repeat("c", 300_000), 0, "memccat", "file-2")
	f("", 0, "memcexist", "file-0")
	f("", 0, "memctouch", "--expire=100", "file-0")
	f("", 0, "memcrm", "file-0")
	f("", 1, "memccat", "file-0")
	f("", 1, "memcexist", "file-0")
	f("pid", 0, "memcstat")
	f("", 0, "memcstat", "--server-version")
	f("", 0, "memcflush")
	f("", 1, "memccat", "file-1")
}
