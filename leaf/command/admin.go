// The commands without a key: flush_all, version, verbosity, stats and the knobs that a leaf does not have.

package command

import (
	"strconv"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// admin answers commands that are not about one key. Those that turn knobs of memcached's slabs and threads get the line
// that memcached gives with that part switched off.
func (e *Executor) admin(r *mc.Request, dst []byte) []byte {
	switch r.Cmd {
	case mc.CmdVersion:
		return say(dst, r, "VERSION "+e.o.Version)
	case mc.CmdStats:
		return e.stats(r, dst)
	case mc.CmdFlushAll:
		return e.flushAll(r, dst)
	case mc.CmdVerbosity:
		level, ok := parseU32(r.Token(1))
		if !ok {
			return say(dst, r, errFormat)
		}
		e.verbose.Store(min(level, 2))
		return say(dst, r, "OK")
	case mc.CmdCacheMemlimit:
		return e.memLimit(r, dst)
	case mc.CmdShutdown:
		return say(dst, r, "SERVER_ERROR: shutdown not enabled")
	case mc.CmdWatch:
		return say(dst, r, "CLIENT_ERROR watch commands not allowed")
	case mc.CmdSlabs:
		return e.slabs(r, dst)
	case mc.CmdLRUCrawler:
		switch string(r.Token(1)) {
		case "crawl", "metadump", "mgdump":
			return say(dst, r, "CLIENT_ERROR lru crawler disabled")
		}
	}
	return say(dst, r, "ERROR")
}

// Verbosity gives the level that the last verbosity command set: 0, 1 or 2. It changes nothing here; the owner may want to
// log more.
func (e *Executor) Verbosity() int { return int(e.verbose.Load()) }

// flushAll answers flush_all: everything stored so far is gone, at once or when the delay is over. A later flush_all takes
// the place of one that is still to come.
func (e *Executor) flushAll(r *mc.Request, dst []byte) []byte {
	e.count.of(nil).add(cmdFlush)
	if e.o.NoFlush {
		return say(dst, r, "CLIENT_ERROR flush_all not allowed")
	}
	args := r.NToken() - 1
	if args > 0 && (r.NoReply || string(r.Token(args)) == "noreplY") { // the wire form of noreply
		args--
	}
	seconds := int32(0)
	if args > 0 {
		ok := false
		if seconds, ok = parseI32(r.Token(1)); !ok {
			return say(dst, r, errExptime)
		}
	}
	now := e.now()
	e.store.FlushAll(max(now, expiry(now, seconds)))
	return say(dst, r, "OK")
}

// slabs answers slabs: nothing is moved, and no other setting can be had.
func (e *Executor) slabs(r *mc.Request, dst []byte) []byte {
	switch n, sub := r.NToken(), string(r.Token(1)); {
	case n == 4 && sub == "reassign":
		return say(dst, r, "CLIENT_ERROR slab reassignment disabled")
	case n == 3 && sub == "automove":
		switch level, ok := parseU32(r.Token(2)); {
		case !ok:
			return say(dst, r, errFormat)
		case level == 0:
			return say(dst, r, "OK")
		}
	}
	return say(dst, r, "ERROR")
}

// memLimit answers cache_memlimit. The limit is fixed when the process starts.
func (e *Executor) memLimit(r *mc.Request, dst []byte) []byte {
	megabytes, ok := parseU32(r.Token(1))
	switch {
	case !ok:
		return say(dst, r, "ERROR")
	case megabytes < 8:
		return say(dst, r, "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m")
	case megabytes > 1000000000:
		return say(dst, r, "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes")
	}
	return say(dst, r, "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust")
}

// AppendStat appends a line of stats.
func AppendStat(dst []byte, name, value string) []byte {
	dst = append(append(dst, "STAT "...), name...)
	dst = append(append(dst, ' '), value...)
	return append(dst, '\r', '\n')
}

// AppendStatInt appends a line of stats with a number.
func AppendStatInt(dst []byte, name string, value int64) []byte {
	dst = append(append(dst, "STAT "...), name...)
	dst = strconv.AppendInt(append(dst, ' '), value, 10)
	return append(dst, '\r', '\n')
}
