// What the Prometheus memcached_exporter finds at a leaf. Its module is not in every proxy of modules, so its reading of
// stats is written down here, as its sources of July 2026 have it: which commands it sends, how it cuts the lines, which names it
// takes, and what makes it call the server down.

package system_test

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// scrape is what the exporter's client makes of stats, stats slabs and stats items, and of stats settings.
type scrape struct {
	general, settings map[string]string
	slabs, items      map[int]map[string]string
}

// exporterScrape asks as the exporter does: lines of three words until END; names without a colon are general, with one a
// slab's, with two an item class's, and what is no number there fails the scrape.
func exporterScrape(t *testing.T, addr string) *scrape {
	t.Helper()
	s := &scrape{general: map[string]string{}, settings: map[string]string{}, slabs: map[int]map[string]string{}, items: map[int]map[string]string{}}
	c := dial(t, addr)
	put := func(m map[int]map[string]string, class, name, value string) {
		n, err := strconv.Atoi(class)
		if err != nil {
			t.Fatalf("class %q of %q is no number", class, name)
		}
		if m[n] == nil {
			m[n] = map[string]string{}
		}
		m[n][name] = value
	}
	read := func(ask string, line func(name, value string)) {
		answer, ended := strings.CutSuffix(c.ask(ask), "END\r\n")
		if !ended {
			t.Fatalf("%q: no END: %q", ask, answer)
		}
		for l := range strings.SplitSeq(strings.TrimSuffix(answer, "\r\n"), "\r\n") {
			if w := strings.Split(l, " "); len(w) == 3 && w[0] == "STAT" {
				line(w[1], w[2])
			}
		}
	}
	for _, ask := range []string{"stats\r\n", "stats slabs\r\n", "stats items\r\n"} {
		read(ask, func(name, value string) {
			switch w := strings.Split(name, ":"); len(w) {
			case 1:
				s.general[name] = value
			case 2:
				put(s.slabs, w[0], w[1], value)
			case 3:
				put(s.items, w[1], w[2], value)
			}
		})
	}
	read("stats settings\r\n", func(name, value string) { s.settings[name] = value })
	return s
}

// What the exporter parses as a number where it is there, and what it cannot do without: a command's hits are told only
// together with what cmd_set and the cas counters say.
var (
	exporterNumbers = strings.Fields(`uptime time cmd_flush bytes limit_maxbytes curr_items total_items bytes_read bytes_written curr_connections
		total_connections rejected_connections conn_yields listen_disabled_num evictions reclaimed store_too_large store_no_memory
		total_malloced accepting_conns get_hits get_misses delete_hits delete_misses incr_hits incr_misses decr_hits decr_misses
		touch_hits touch_misses`)
	exporterNeeds      = strings.Fields("version cmd_set cas_misses cas_hits cas_badval rusage_user rusage_system")
	exporterSlabNeeds  = strings.Fields("cmd_set cas_hits cas_badval")
	exporterSlabTakes  = strings.Fields("get_hits delete_hits incr_hits decr_hits touch_hits used_chunks")
	exporterClassTakes = strings.Fields("number mem_requested evicted outofmemory reclaimed")
)

// number parses as the exporter does.
func number(t *testing.T, m map[string]string, name string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(m[name], 64)
	if err != nil {
		t.Errorf("%s is %q: %v", name, m[name], err)
	}
	return v
}

func TestMemcachedExporterReadsALeaf(t *testing.T) {
	l := startLeaf(t, "leaf-1", "127.0.0.1:0", "--memcached", "127.0.0.1:0", "--max-item", "64KiB")
	addr := l.logged(0, "leaf ready")["memcached"].(string)

	// Before anything is stored there are no classes, and nothing is missing.
	empty := exporterScrape(t, addr)
	if len(empty.items) != 0 || len(empty.slabs) != 0 || empty.general["curr_items"] != "0" {
		t.Errorf("empty: %+v", empty)
	}

	// What is counted came through a proxy; the exporter asks the leaf.
	p := startProxy(t, fmt.Sprintf("pool{ name = 'p', backends = { %q } }\nrouter{ default_pool = 'p' }", l.url), "--allow-flush")
	p.ready()
	c := dial(t, p.addr)
	for _, say := range []string{
		"set a 0 0 1|1", "set b 0 0 3|abc", "set n 0 0 1|5", "get a", "get a", "get none", "delete b", "delete b", "incr n 1", "incr none 1",
		"decr n 1", "decr n 1", "decr none 1", "touch a 100", "touch none 1", "cas none 0 0 1 1|x", "cas a 0 0 1 1|x",
		"set big 0 0 65537|" + strings.Repeat("v", 65537),
	} {
		c.ask(strings.ReplaceAll(say, "|", "\r\n") + "\r\n")
	}
	got := exporterScrape(t, addr)
	for _, name := range append(exporterNumbers, "cmd_set", "cas_misses", "cas_hits", "cas_badval") {
		number(t, got.general, name)
	}
	for _, name := range exporterNeeds {
		if got.general[name] == "" {
			t.Errorf("no %s", name)
		}
	}
	for _, name := range []string{"rusage_user", "rusage_system"} {
		if sec, usec, ok := strings.Cut(got.general[name], "."); !ok || len(usec) != 6 || sec == "" {
			t.Errorf("%s is %q", name, got.general[name])
		}
	}
	for name, want := range map[string]float64{
		"get_hits": 2, "get_misses": 1, "delete_hits": 1, "delete_misses": 1, "incr_hits": 1, "incr_misses": 1, "decr_hits": 2, "decr_misses": 1,
		"touch_hits": 1, "touch_misses": 1, "cas_misses": 1, "cas_hits": 0, "cas_badval": 1, "cmd_set": 5, "curr_items": 2, "total_items": 6, // incr and decr store anew here
		"limit_maxbytes": 64 << 20, "evictions": 0, "store_too_large": 1, "accepting_conns": 1,
	} {
		if v := number(t, got.general, name); v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
	if v := number(t, got.general, "bytes"); v <= 0 || v > 64<<20 {
		t.Errorf("bytes: %v", v)
	}
	if v := number(t, got.general, "curr_connections"); v < 2 { // this scrape, and the proxy
		t.Errorf("curr_connections: %v", v)
	}
	if number(t, got.general, "bytes_read") < 500 || number(t, got.general, "bytes_written") < 500 {
		t.Errorf("bytes read %v, written %v", got.general["bytes_read"], got.general["bytes_written"])
	}
	number(t, got.settings, "maxconns")
	if got.settings["item_size_max"] != "65536" || got.settings["lru_crawler"] != "no" {
		t.Errorf("settings: %v", got.settings)
	}
	for _, m := range []struct {
		of    map[int]map[string]string
		names []string
	}{{got.slabs, append(exporterSlabNeeds, exporterSlabTakes...)}, {got.items, exporterClassTakes}} {
		if len(m.of) != 1 {
			t.Errorf("%d classes, want the one", len(m.of))
		}
		for _, name := range m.names {
			number(t, m.of[1], name)
		}
	}
	if got.items[1]["number"] != "2" || got.slabs[1]["used_chunks"] != "2" || got.slabs[1]["get_hits"] != "2" || got.slabs[1]["cmd_set"] != "5" {
		t.Errorf("items %v, slabs %v", got.items, got.slabs)
	}
}

// An exporter that asks a proxy reads the proxy: everything that it takes is a number there, too.
func TestMemcachedExporterReadsAProxy(t *testing.T) {
	_, urls := startLeaves(t, 1)
	p := startProxy(t, fmt.Sprintf("pool{ name = 'p', backends = { %q } }\nrouter{ default_pool = 'p' }", urls[0]))
	p.ready()
	dial(t, p.addr).ask("set a 0 0 1\r\nx\r\nget a\r\n")
	got := exporterScrape(t, p.addr)
	for _, name := range exporterNeeds {
		if got.general[name] == "" {
			t.Errorf("no %s", name)
		}
	}
	for _, name := range strings.Fields("proxy_req_active proxy_config_reloads proxy_config_reload_fails proxy_backend_total proxy_backend_marked_bad curr_connections bytes_read uptime") {
		number(t, got.general, name)
	}
	for name, v := range got.general {
		if strings.HasPrefix(name, "proxy_") {
			number(t, map[string]string{name: v}, name)
		}
	}
	number(t, got.settings, "maxconns")
	if got.general["proxy_backend_total"] != "1" || got.general["proxy_backend_marked_bad"] != "0" {
		t.Errorf("backends: %v, bad %v", got.general["proxy_backend_total"], got.general["proxy_backend_marked_bad"])
	}
}

// A leaf's own listener is a memcached in every way: the conversations of commands_test.go hold there too, and it stops with the leaf.
func TestLeafServesMemcachedClients(t *testing.T) {
	l := startLeaf(t, "leaf-1", "127.0.0.1:0", "--memcached", "127.0.0.1:0")
	addr := l.logged(0, "leaf ready")["memcached"].(string)
	converse(t, addr)
	c := dial(t, addr)
	c.says("get nokey\r\nquit\r\nget nokey\r\n")
	c.ends("END\r\n")
	idle := dial(t, addr)
	idle.ask("get nokey\r\n")
	l.signal(syscall.SIGTERM)
	idle.ends("")
	l.exit(0)
}
