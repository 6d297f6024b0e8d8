// The stats command: memcached's names in memcached's order, for the tools that read them.

package command

import (
	"fmt"
	"os"
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
		return say(dst, r, "CLIENT_ERROR stats detail not allowed")
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
		stat{"auth_cmds", 0}, stat{"auth_errors", 0})
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

// statsSettings appends the settings that mean something here.
func (e *Executor) statsSettings(dst []byte) []byte {
	dst = appendStats(dst,
		stat{"maxbytes", e.store.Stats().Limit}, stat{"maxconns", int64(e.o.MaxConns)}, stat{"verbosity", int64(e.Verbosity())})
	dst = AppendStat(dst, "evictions", "on")
	dst = AppendStat(dst, "shutdown_command", "no")
	dst = AppendStatInt(dst, "num_threads", int64(e.o.Threads))
	dst = AppendStat(dst, "detail_enabled", "no")
	dst = AppendStat(dst, "cas_enabled", "yes")
	dst = AppendStatInt(dst, "item_size_max", int64(e.maxItem))
	dst = AppendStat(dst, "slab_reassign", "no")
	dst = AppendStat(dst, "lru_crawler", "no")
	dst = AppendStat(dst, "flush_enabled", "yes")
	dst = AppendStat(dst, "dump_enabled", "no")
	dst = AppendStat(dst, "track_sizes", "no")
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
