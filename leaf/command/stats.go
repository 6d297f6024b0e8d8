// The stats command: memcached's names in memcached's order, for the tools that read them.

package command

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// stats answers stats and its subcommands. Most are found by any prefix, as in memcached ("stats set" is settings).
func (e *Executor) stats(r *mc.Request, dst []byte) []byte {
	start := len(dst)
	sub := string(r.Token(1))
	known := true
	switch {
	case sub == "":
		dst = e.statsGeneral(dst)
	case strings.HasPrefix("reset", sub):
		e.reset()
		return say(dst, r, "RESET")
	case strings.HasPrefix("detail", sub):
		return e.statsDetail(r, dst)
	case strings.HasPrefix("settings", sub):
		dst = e.statsSettings(dst)
	case strings.HasPrefix("cachedump", sub):
		return say(dst, r, "CLIENT_ERROR stats cachedump not allowed")
	case strings.HasPrefix("conns", sub):
		dst, _ = e.more(dst, "conns")
	case strings.HasPrefix("extstore", sub): // none: an empty list, as in memcached without it
	default:
		if dst, known = e.more(dst, sub); !known {
			dst, known = e.statsStore(dst[:start], sub)
		}
	}
	if !known {
		return say(dst[:start], r, "ERROR")
	}
	return append(dst, "END\r\n"...)
}

// more asks the owner for lines.
func (e *Executor) more(dst []byte, sub string) ([]byte, bool) {
	if e.o.Stats == nil {
		return dst, false
	}
	return e.o.Stats(dst, sub)
}

// conns gives the connection figures, if there is anybody who knows them.
func (e *Executor) conns() (Conns, bool) {
	if e.o.Conns == nil {
		return Conns{}, false
	}
	return e.o.Conns(), true
}

// stat is a line to be.
type stat struct {
	name  string
	value int64
}

func appendStats(dst []byte, lines ...stat) []byte {
	for _, l := range lines {
		dst = AppendStatInt(dst, l.name, l.value)
	}
	return dst
}

// statsGeneral appends what a bare stats tells.
func (e *Executor) statsGeneral(dst []byte) []byte {
	n, st := e.sinceReset()
	now := e.now()
	dst = appendStats(dst, stat{"pid", int64(os.Getpid())}, stat{"uptime", (now - e.started) / 1000}, stat{"time", now / 1000})
	dst = AppendStat(dst, "version", e.o.Version)
	dst = AppendStatInt(dst, "pointer_size", 32<<(^uint(0)>>63))
	dst = appendUsage(dst)
	var authCmds, authErrors int64
	if e.o.Auth != nil {
		authCmds, authErrors = e.o.Auth()
	}
	c, hasConns := e.conns()
	if hasConns {
		dst = appendStats(dst,
			stat{"max_connections", int64(e.o.MaxConns)}, stat{"curr_connections", c.Current},
			stat{"total_connections", c.Total}, stat{"rejected_connections", c.Rejected})
	}
	dst = appendStats(dst,
		stat{"cmd_get", n[getHits] + n[getMisses]}, stat{"cmd_set", n[cmdSet]}, stat{"cmd_flush", n[cmdFlush]},
		stat{"cmd_touch", n[touchHits] + n[touchMisses]}, stat{"cmd_meta", n[cmdMeta]},
		stat{"get_hits", n[getHits]}, stat{"get_misses", n[getMisses]}, stat{"get_expired", st.Expired},
		stat{"delete_misses", n[deleteMisses]}, stat{"delete_hits", n[deleteHits]},
		stat{"incr_misses", n[incrMisses]}, stat{"incr_hits", n[incrHits]},
		stat{"decr_misses", n[decrMisses]}, stat{"decr_hits", n[decrHits]},
		stat{"cas_misses", n[casMisses]}, stat{"cas_hits", n[casHits]}, stat{"cas_badval", n[casBadval]},
		stat{"touch_hits", n[touchHits]}, stat{"touch_misses", n[touchMisses]},
		stat{"store_too_large", n[storeTooLarge]}, stat{"store_no_memory", n[storeNoMemory]},
		stat{"auth_cmds", authCmds}, stat{"auth_errors", authErrors})
	if hasConns {
		accepting := int64(1)
		if c.Refusing {
			accepting = 0
		}
		dst = appendStats(dst,
			stat{"bytes_read", c.BytesRead}, stat{"bytes_written", c.BytesWritten}, stat{"limit_maxbytes", st.Limit},
			stat{"accepting_conns", accepting}, stat{"listen_disabled_num", 0}, stat{"time_in_listen_disabled_us", 0})
	} else {
		dst = AppendStatInt(dst, "limit_maxbytes", st.Limit)
	}
	dst = appendStats(dst, stat{"threads", int64(e.o.Threads)}, stat{"conn_yields", 0})
	dst, _ = e.more(dst, "")
	return appendStats(dst,
		stat{"bytes", st.Bytes}, stat{"curr_items", st.Items}, stat{"total_items", st.TotalItems},
		stat{"evictions", st.Evictions}, stat{"reclaimed", st.Expired})
}

// settingNames are the lines of stats settings in memcached's order. Those that nobody knows the value of are left out.
var settingNames = [...]string{
	"maxbytes", "maxconns", "tcpport", "udpport", "inter", "verbosity", "evictions", "domain_socket", "umask", "shutdown_command",
	"num_threads", "stat_key_prefix", "detail_enabled", "reqs_per_event", "cas_enabled", "tcp_backlog", "binding_protocol",
	"auth_enabled_sasl", "auth_enabled_ascii", "item_size_max", "slab_reassign", "lru_crawler", "flush_enabled", "dump_enabled",
	"idle_timeout", "watcher_logbuf_size", "track_sizes",
}

// settings are the values that mean something here, but for those that the owner knows better.
func (e *Executor) settings() map[string]string {
	return map[string]string{
		"maxbytes":         strconv.FormatInt(e.store.Stats().Limit, 10),
		"maxconns":         strconv.Itoa(e.o.MaxConns),
		"verbosity":        strconv.Itoa(e.Verbosity()),
		"evictions":        "on",
		"shutdown_command": "no",
		"num_threads":      strconv.Itoa(e.o.Threads),
		"stat_key_prefix":  string(rune(e.detail.delim)),
		"detail_enabled":   yesNo(e.detail.on.Load()),
		"cas_enabled":      "yes",
		"item_size_max":    strconv.Itoa(e.maxItem),
		"slab_reassign":    "no",
		"lru_crawler":      "no",
		"flush_enabled":    yesNo(!e.o.NoFlush),
		"dump_enabled":     "no",
		"track_sizes":      "no",
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// statsSettings appends the settings.
func (e *Executor) statsSettings(dst []byte) []byte {
	ours := e.settings()
	for _, name := range settingNames {
		if v, ok := e.o.Settings[name]; ok {
			dst = AppendStat(dst, name, v)
		} else if v, ok := ours[name]; ok {
			dst = AppendStat(dst, name, v)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(e.o.Settings)) {
		if !slices.Contains(settingNames[:], name) {
			dst = AppendStat(dst, name, e.o.Settings[name])
		}
	}
	dst, _ = e.more(dst, "settings")
	return AppendStatInt(dst, "client_flags_size", 4)
}

// statsStore appends items, slabs or sizes. There are no slabs: everything is class 1.
func (e *Executor) statsStore(dst []byte, sub string) ([]byte, bool) {
	n, st := e.sinceReset()
	switch sub {
	case "items":
		if st.Items == 0 {
			return dst, true
		}
		return appendClass(dst, "items:1:",
			stat{"number", st.Items}, stat{"mem_requested", st.Bytes},
			stat{"evicted", st.Evictions}, stat{"outofmemory", n[storeNoMemory]}, stat{"reclaimed", st.Expired}), true
	case "slabs":
		active := min(st.Items, 1)
		if active > 0 {
			dst = e.statsSlab(dst, &n, &st)
		}
		return appendStats(dst, stat{"active_slabs", active}, stat{"total_malloced", st.Bytes}), true
	case "sizes":
		return AppendStat(dst, "sizes_status", "disabled"), true
	}
	return dst, false
}

// statsSlab appends the figures of the one class.
func (e *Executor) statsSlab(dst []byte, n *[numCounters]int64, st *store.Stats) []byte {
	return appendClass(dst, "1:",
		stat{"used_chunks", st.Items}, stat{"get_hits", n[getHits]}, stat{"cmd_set", n[cmdSet]}, stat{"delete_hits", n[deleteHits]},
		stat{"incr_hits", n[incrHits]}, stat{"decr_hits", n[decrHits]}, stat{"cas_hits", n[casHits]},
		stat{"cas_badval", n[casBadval]}, stat{"touch_hits", n[touchHits]})
}

func appendClass(dst []byte, prefix string, lines ...stat) []byte {
	for _, l := range lines {
		dst = fmt.Appendf(dst, "STAT %s%s %d\r\n", prefix, l.name, l.value)
	}
	return dst
}
