// What those who watch see, what stats detail counts, and what options switch on and off.

package command

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/watch"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// watched gives the lines that a watcher of s sees while f runs, without what every line begins with.
func watched(t *testing.T, h *watch.Hub, s watch.Stream, f func()) string {
	t.Helper()
	w, err := h.Subscribe(s)
	if err != nil {
		t.Fatal(err)
	}
	f()
	r, out := io.Pipe()
	gone := make(chan struct{})
	h.Write(s, []byte("last"))
	go func() { w.Run(out, gone); out.Close() }()
	var lines []string
	for buf := make([]byte, 4096); ; {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(buf[:n])) {
			_, text, _ := strings.Cut(line, " gid=")
			_, text, _ = strings.Cut(strings.TrimSpace(text), " ")
			if text == "last" {
				close(gone)
				r.Close()
				return strings.Join(lines, "|")
			}
			lines = append(lines, text)
		}
	}
}

func TestWatch(t *testing.T) {
	h := watch.New(watch.Options{Now: func() time.Time { return time.Unix(1, 0) }})
	b := newBench(t, Options{Watch: h, MaxItem: 1000})
	f := func(s watch.Stream, ask, want string) {
		t.Helper()
		if got := watched(t, h, s, func() { b.send(wire(ask)) }); got != want {
			t.Errorf("%s:\n got %q\nwant %q", ask, got, want)
		}
	}
	const get, store, del = watch.Fetchers, watch.Mutations, watch.Deletions
	miss := func(key string) string {
		return "type=item_get key=" + key + " status=not_found clsid=0 cfd=0 size=0"
	}
	hit := func(key, size string) string {
		return "type=item_get key=" + key + " status=found clsid=1 cfd=0 size=" + size
	}
	f(get, "get a b", miss("a")+"|"+miss("b"))
	f(get, "set a 0 0 2|xx", miss("a"))
	f(store, "set a 0 90 2|xx", "type=item_store key=a status=stored cmd=set ttl=90 clsid=1 cfd=0 size=2")
	f(get, "get a|mg a|gat 0 a|touch a 0|me a|incr a 1|ma a|append a 0 0 1|y", strings.TrimSuffix(strings.Repeat(hit("a", "2")+"|", 8), "|"))
	f(store, "add a 0 0 1|x", "type=item_store key=a status=not_stored cmd=add ttl=0 clsid=1 cfd=0 size=1")
	f(store, "cas a 0 0 1 1|x", "type=item_store key=a status=exists cmd=cas ttl=0 clsid=1 cfd=0 size=1")
	f(store, "ms none 1 MR|x", "type=item_store key=none status=not_stored cmd=replace ttl=0 clsid=1 cfd=0 size=1")
	f(store, "ms a 2000|"+strings.Repeat("x", 2000), "type=item_store key=a status=too_large cmd=set ttl=0 clsid=0 cfd=0 size=0")
	f(store, "set n,foo 0 0 1|x", "type=item_store key=n%2Cfoo status=stored cmd=set ttl=0 clsid=1 cfd=0 size=1")
	f(del, "delete n,foo|delete n,foo|md none", "type=deleted key=n%2Cfoo cmd=delete clsid=1 size=1")
	f(del, "set a 0 0 2|xx|md a I|md a x|md a", "type=deleted key=a cmd=md clsid=1 size=0")
	f(watch.Evictions, "set a 0 0 2|xx|delete a", "")

	var r mc.Request
	if _, _, err := b.p.Next([]byte("get a\r\n"), &b.e.rules, &r); err != nil {
		t.Fatal(err)
	}
	r.Client = 31
	if got := watched(t, h, get, func() { b.e.Exec(&r, nil) }); !strings.Contains(got, " cfd=31 ") {
		t.Errorf("whose request it is does not show: %q", got)
	}
}

func TestWatchEvictions(t *testing.T) {
	h := watch.New(watch.Options{})
	it := store.Item{Key: []byte("a b"), Value: []byte("xyz"), Exp: 95_000, Access: 3_000, Bits: store.BitFetched}
	got := watched(t, h, watch.Evictions, func() {
		TellEvicted(h, 5_000, it)
		TellEvicted(h, 5_000, store.Item{Key: []byte("c"), Access: 9_000})
	})
	want := "type=eviction key=a%20b fetch=yes ttl=90 la=2 clsid=1 size=3|type=eviction key=c fetch=no ttl=-1 la=0 clsid=1 size=0"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	TellEvicted(nil, 0, it)
}

func TestDetail(t *testing.T) {
	b := newBench(t, Options{})
	b.dialogue(`
		> set foo:1 0 0 1|x
		< STORED
		> stats detail dump
		< END
		> stats detail on
		< OK
		> set foo:1 0 0 1|x
		< STORED
		> ms bar:2 1|x
		< HD
		> get foo:1 foo:2 none
		< VALUE foo:1 0 1|x|END
		> mg foo:1
		< HD
		> delete foo:9
		< NOT_FOUND
		> md bar:2
		< HD
		> stats detail dump
		< PREFIX foo get 3 hit 2 set 1 del 1|PREFIX bar get 0 hit 0 set 1 del 1|END
		> stats detail off
		< OK
		> get foo:1
		< VALUE foo:1 0 1|x|END
		> stats detail d
		< PREFIX foo get 3 hit 2 set 1 del 1|PREFIX bar get 0 hit 0 set 1 del 1|END
		> stats detail
		< CLIENT_ERROR usage: stats detail on|off|dump
		> stats detail maybe
		< CLIENT_ERROR usage: stats detail on|off|dump
		> stats reset
		< RESET
		> stats detail dump
		< END`)
	b = newBench(t, Options{Detail: true, Delim: '/'})
	b.dialogue(`
		> get a/b:c
		< END
		> stats detail dump
		< PREFIX a get 1 hit 0 set 0 del 0|END`)
	_, v := statNames(t, b.send(wire("stats settings")))
	if v["stat_key_prefix"] != "/" || v["detail_enabled"] != "yes" {
		t.Errorf("settings: %v", v)
	}
}

// Strangers choose prefixes: there is an end to them.
func TestDetailIsBounded(t *testing.T) {
	var d details
	d.delim = ':'
	d.on.Store(true)
	for i := range maxPrefixes + 100 {
		d.get(fmt.Appendf(nil, "%d:", i), true)
	}
	if len(d.rows) != maxPrefixes {
		t.Errorf("%d prefixes, want %d", len(d.rows), maxPrefixes)
	}
}

func TestOptions(t *testing.T) {
	b := newBench(t, Options{NoFlush: true, Settings: map[string]string{"evictions": "off", "tcpport": "7", "zone": "b"},
		Auth: func() (int64, int64) { return 5, 2 }})
	b.dialogue(`
		> set a 0 0 1|x
		< STORED
		> flush_all
		< CLIENT_ERROR flush_all not allowed
		> flush_all noreply
		<
		> get a
		< VALUE a 0 1|x|END
		> debugtime 5
		< ERROR
		> slabs automove invalid
		< CLIENT_ERROR bad command line format
		> slabs automove 0
		< OK
		> slabs automove 1
		< ERROR`)
	names, v := statNames(t, b.send(wire("stats settings")))
	if v["evictions"] != "off" || v["tcpport"] != "7" || v["zone"] != "b" || v["flush_enabled"] != "no" || names[1] != "maxconns" || names[2] != "tcpport" {
		t.Errorf("settings: %v", names)
	}
	_, v = statNames(t, b.send(wire("stats")))
	if v["auth_cmds"] != "5" || v["auth_errors"] != "2" || v["cmd_flush"] != "2" {
		t.Errorf("stats: %v", v)
	}
}

func TestDebugTime(t *testing.T) {
	var b *bench
	b = newBench(t, Options{MoveTime: func(s int64) { b.now += s * 1000 }})
	b.dialogue(`
		> set a 0 3 1|x
		< STORED
		> debugtime 2
		< OK
		> get a
		< VALUE a 0 1|x|END
		> debugtime 1
		< OK
		> get a
		< END
		> debugtime x
		< ERROR
		> debugtimes 1
		< ERROR`)
}
