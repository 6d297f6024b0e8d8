// Counters and the stats command.

package command

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// statNames gives the names in a stats answer, and their values.
func statNames(t *testing.T, answer string) (names []string, values map[string]string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(answer, "\r\n"), "\r\n")
	if lines[len(lines)-1] != "END" {
		t.Fatalf("no END: %q", answer)
	}
	values = map[string]string{}
	for _, l := range lines[:len(lines)-1] {
		w := strings.SplitN(l, " ", 3)
		if len(w) != 3 || w[0] != "STAT" || values[w[1]] != "" {
			t.Fatalf("bad or doubled line %q", l)
		}
		names, values[w[1]] = append(names, w[1]), w[2]
	}
	return names, values
}

func TestCounters(t *testing.T) {
	for script, want := range map[string]Snapshot{
		"get a|get a b|gets a":                   {GetHits: 0, GetMisses: 4},
		"set a 0 0 1|x|get a|get a b":            {Sets: 1, GetHits: 2, GetMisses: 1},
		"ms a 1|x|mg a|mg b q|mg b N0":           {Sets: 1, GetHits: 2, GetMisses: 1},
		"ms a 1|x|mg a T9|mg b T9":               {Sets: 1, TouchHits: 1, GetMisses: 1},
		"gat 0 a|touch a 0":                      {TouchMisses: 2},
		"set a 0 0 1|x|gat 0 a|touch a 0":        {Sets: 1, TouchHits: 2},
		"delete a|md a":                          {DeleteMisses: 2},
		"ms a 1|x|md a C99":                      {Sets: 1, DeleteMisses: 1},
		"ms a 1|x|md a I|md a x|md a|ms b 1|x":   {Sets: 2, DeleteHits: 2},
		"ms b 1|x|delete b":                      {Sets: 1, DeleteHits: 1},
		"incr a 1|decr a 1|ma a|ma a MD":         {IncrMisses: 2, DecrMisses: 2},
		"ma a N0|incr a 1|ma a|decr a 1|ma a MD": {IncrHits: 2, DecrHits: 2},
		"ms a 1|x|incr a 1|ma a C9":              {Sets: 1},
		"cas a 0 0 1 5|x|ms a 1 C5|x":            {Sets: 2, CASMisses: 2},
		"ms a 1 E5|x|cas a 0 0 1 6|x|ms a 1 C5|x|ms a 1 E9|x|ms a 1 C8 I|x": {Sets: 5, CASBadval: 1, CASHits: 2},
		"add a 0 0 1|x|add a 0 0 1|x|replace b 0 0 1|x":                     {Sets: 3},
		"flush_all|flush_all 5|flush_all x":                                 {Flushes: 3},
		"me a|set a 0 0 1|x|me a":                                           {Sets: 1, MetaDebugs: 2},
	} {
		b := newBench(t, Options{})
		b.send(wire(script))
		got := b.e.Snapshot()
		want.Store = got.Store
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %+v\nwant %+v", script, got, want)
		}
	}
}

func TestStatsGeneral(t *testing.T) {
	b := newBench(t, Options{
		Version: "9.9", MaxConns: 100, Threads: 3,
		Conns: func() Conns { return Conns{Current: 4, Total: 5, Rejected: 6, BytesRead: 7, BytesWritten: 8} },
		Stats: func(dst []byte, sub string) ([]byte, bool) {
			return AppendStatInt(dst, "proxy_conn_requests"+sub, 42), true
		},
	})
	b.send(wire("set a 0 0 1|x|get a|get a|get b|cas a 0 0 1 9|x"))
	b.now += 65_000
	names, v := statNames(t, b.send(wire("stats")))
	for name, want := range map[string]string{
		"uptime": "65", "time": "1700000065", "version": "9.9", "pointer_size": "64", "max_connections": "100", "curr_connections": "4",
		"total_connections": "5", "rejected_connections": "6", "cmd_get": "3", "cmd_set": "2", "get_hits": "2", "get_misses": "1",
		"cas_badval": "1", "bytes_read": "7", "bytes_written": "8", "limit_maxbytes": "67108864", "threads": "3", "curr_items": "1",
		"accepting_conns": "1", "proxy_conn_requests": "42",
	} {
		if v[name] != want {
			t.Errorf("%s = %q, want %q", name, v[name], want)
		}
	}
	// The names that the Prometheus memcached_exporter fails or goes blind without.
	for _, name := range strings.Fields(`pid uptime time version rusage_user rusage_system get_hits get_misses delete_hits delete_misses
		incr_hits incr_misses decr_hits decr_misses cas_hits cas_misses cas_badval touch_hits touch_misses cmd_get cmd_set cmd_flush cmd_touch
		bytes limit_maxbytes curr_items total_items bytes_read bytes_written curr_connections total_connections rejected_connections
		conn_yields listen_disabled_num evictions reclaimed store_too_large store_no_memory accepting_conns`) {
		if v[name] == "" {
			t.Errorf("no %s", name)
		}
	}
	if strings.Count(v["rusage_user"], ".") != 1 || len(v["rusage_user"])-strings.IndexByte(v["rusage_user"], '.') != 7 {
		t.Errorf("rusage_user is %q, want seconds.microseconds", v["rusage_user"])
	}
	if bare := newBench(t, Options{}).send(wire("stats")); strings.Contains(bare, "connections") || strings.Contains(bare, "bytes_read") {
		t.Errorf("connection figures that nobody gave: %s", bare)
	}
	if !slices.Contains(names, "curr_items") || slices.Index(names, "cmd_get") > slices.Index(names, "curr_items") {
		t.Errorf("order: %v", names)
	}
}

// The names that we have in common with memcached come in its order.
func TestStatsInMemcachedsOrder(t *testing.T) {
	p := startPeer(t)
	b := newBench(t, Options{Conns: func() Conns { return Conns{} }})
	b.send(wire("set a 0 0 1|x"))
	p.send(wire("set a 0 0 1|x"))
	for _, ask := range []string{"stats", "stats settings", "stats items", "stats slabs"} {
		ours, _ := statNames(t, b.send(wire(ask)))
		theirs, _ := statNames(t, p.send(wire(ask)))
		at := -1
		for _, name := range ours {
			i := slices.Index(theirs, name)
			switch {
			case i < 0 && !(p.old() && (name == "client_flags_size" || name == "store_too_large" || name == "store_no_memory")):
				t.Errorf("%s: memcached has no %s", ask, name)
			case i >= 0 && i < at:
				t.Errorf("%s: %s is out of order", ask, name)
			}
			at = max(at, i)
		}
	}
}

func TestStatsReset(t *testing.T) {
	b := newBench(t, Options{})
	b.send(wire("get a|set a 0 0 1|x|get a"))
	b.dialogue(`
		> stats reset
		< RESET`)
	b.send(wire("get a"))
	_, v := statNames(t, b.send(wire("stats")))
	if v["get_hits"] != "1" || v["get_misses"] != "0" || v["cmd_set"] != "0" || v["total_items"] != "0" || v["curr_items"] != "1" {
		t.Errorf("after reset: %v", v)
	}
	if s := b.e.Snapshot(); s.GetHits != 2 || s.GetMisses != 1 {
		t.Errorf("reset must not touch Snapshot: %+v", s)
	}
}

// What an empty store already takes is its own affair.
func TestStatsSlabsOfAnEmptyStore(t *testing.T) {
	got := string(newBench(t, Options{}).send(wire("stats slabs")))
	if !regexp.MustCompile(`^STAT active_slabs 0\r\nSTAT total_malloced \d+\r\nEND\r\n$`).MatchString(got) {
		t.Errorf("stats slabs: %q", got)
	}
}

func TestStatsSubcommands(t *testing.T) {
	b := newBench(t, Options{Stats: func(dst []byte, sub string) ([]byte, bool) {
		switch sub {
		case "settings":
			return AppendStat(dst, "proxy_enabled", "yes"), true
		case "proxy":
			return AppendStat(dst, "cmd_mg", "0"), true
		case "half":
			return AppendStat(dst, "never", "shown"), false
		}
		return dst, false
	}})
	b.dialogue(`
		> stats proxy
		< STAT cmd_mg 0|END
		> stats nothing
		< ERROR
		> stats half
		< ERROR
		> stats sizes
		< STAT sizes_status disabled|END
		> stats conns
		< END
		> stats extstore
		< END
		> stats items
		< END
		> stats detail on
		< OK
		> stats cachedump 1 1
		< CLIENT_ERROR stats cachedump not allowed`)
	_, v := statNames(t, b.send(wire("stats se"))) // a prefix is enough
	if v["item_size_max"] != "1048576" || v["proxy_enabled"] != "yes" || v["maxconns"] != "0" || v["lru_crawler"] != "no" {
		t.Errorf("settings: %v", v)
	}
	b.send(wire("set a 0 0 1|x"))
	_, v = statNames(t, b.send(wire("stats items")))
	if v["items:1:number"] != "1" {
		t.Errorf("items: %v", v)
	}
	_, v = statNames(t, b.send(wire("stats slabs")))
	if v["1:used_chunks"] != "1" || v["1:cmd_set"] != "1" || v["active_slabs"] != "1" {
		t.Errorf("slabs: %v", v)
	}
}
