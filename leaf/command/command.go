// Package command gives memcached's semantics to a store: one request in, the bytes of its answer out.
//
// The leaf's frame loop calls it for every request of a frame; the proxy calls it for requests that have no route and
// for mcp.internal; `tidepool memcached` and `tidepool leaf` call it for plain connections. All commands of memcached's
// text and meta protocols are here, worded and ruled as in memcached 1.6.45 (doc/protocol.txt and its source are the
// reference; where it differs from what we do on purpose, tests/differ/differences.go lists why).
//
// An Executor may be used by any number of goroutines at once. Each command takes its key's lock in the store once
// (store.Begin ... End), so every command is atomic for its key; a multiget takes the locks of its keys one after
// another. Exec reads the request's slices only during the call, and the answer is a copy: nothing of the request or of
// the store is referred to after Exec returns.
//
// Time: the clock is Unix milliseconds. A relative TTL of n lives for exactly n seconds, where memcached, which counts
// whole ticks of its own second, ends it up to a second earlier. Remaining times are printed in seconds, rounded up.
package command

import (
	"bytes"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/watch"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// Options configure an Executor.
type Options struct {
	Store   *store.Store // required
	MaxItem int          // the store's own limit for key and value together, in bytes; 0 = 1 MiB
	Version string       // what `version` and `stats` tell; "" = "1.6.45-tidepool"
	Now     func() int64 // clock, Unix milliseconds; must be the store's clock; nil = the real one

	NoFlush  bool // flush_all is refused
	Detail   bool // stats detail counts from the start
	Delim    byte // what ends the prefix of a key in stats detail; 0 = ':'
	MaxConns int  // told by stats; 0 is told as 0
	Threads  int  // told by stats; 0 = 1

	// Watch is told what is fetched, stored and deleted; nil = nobody watches.
	Watch *watch.Hub

	// MoveTime moves the clock by so many seconds: it answers memcached's debugtime, a command for tests. nil = there is no such command.
	MoveTime func(seconds int64)

	// Settings are lines of stats settings, in place of ours or besides them: what the owner knows better.
	Settings map[string]string

	// Auth tells how many clients said who they are, and how many of them in vain; nil = none. Safe for concurrent use.
	Auth func() (commands, errors int64)

	// Conns gives the connection figures of stats; nil = none are known, and their lines are left out. Safe for concurrent use.
	Conns func() Conns

	// Stats lets the owner add to stats. It appends lines made by AppendStat, never END, and says whether sub is a name
	// it knows. It is called with "" and "settings" for lines to add to ours (the result of known is then ignored), and
	// with any subcommand that is not memcached's own. nil = nothing is added.
	Stats func(dst []byte, sub string) (out []byte, known bool)
}

// Conns are the connection figures that stats tells.
type Conns struct {
	Current, Total, Rejected int64
	BytesRead, BytesWritten  int64
	Refusing                 bool // the listener is at its limit and accepts nobody
}

// Executor runs requests against a store. Safe for concurrent use.
type Executor struct {
	o       Options
	store   *store.Store
	rules   mc.Rules
	maxItem int
	now     func() int64
	started int64 // Unix milliseconds
	count   counters
	resets  resets
	detail  details
	verbose atomic.Uint32
}

// New makes an Executor.
func New(o Options) (*Executor, error) {
	if o.Store == nil {
		return nil, errors.New("cannot make command executor: Store is nil")
	}
	if o.MaxItem == 0 {
		o.MaxItem = 1 << 20
	}
	if o.Version == "" {
		o.Version = "1.6.45-tidepool" // clients read features from the number: this is whose commands these are
	}
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().UnixMilli() }
	}
	if o.Threads == 0 {
		o.Threads = 1
	}
	e := &Executor{
		o: o, store: o.Store, rules: mc.Rules{MaxValue: o.MaxItem}, maxItem: o.MaxItem,
		now: o.Now, started: o.Now(),
	}
	e.detail.delim = o.Delim
	if o.Delim == 0 {
		e.detail.delim = ':'
	}
	e.detail.on.Store(o.Detail)
	return e, nil
}

// Exec runs r and appends its answer to dst: exactly one, or nothing when the client asked for silence (noreply, q) and
// the protocol grants it. quit is answered with nothing; closing is the connection's part.
func (e *Executor) Exec(r *mc.Request, dst []byte) []byte {
	if r.Bad != mc.BadNone && r.Bad != mc.BadTooLarge {
		return e.bad(r, dst)
	}
	switch r.Cmd {
	case mc.CmdGet, mc.CmdGets, mc.CmdGat, mc.CmdGats:
		return e.get(r, dst)
	case mc.CmdMG:
		return e.metaGet(r, dst)
	case mc.CmdMS:
		return e.metaSet(r, dst)
	case mc.CmdSet, mc.CmdAdd, mc.CmdReplace, mc.CmdAppend, mc.CmdPrepend, mc.CmdCas:
		return e.set(r, dst)
	case mc.CmdMD:
		return e.metaDelete(r, dst)
	case mc.CmdMA:
		return e.metaArith(r, dst)
	case mc.CmdMN:
		return append(dst, "MN\r\n"...)
	case mc.CmdME:
		return e.metaDebug(r, dst)
	case mc.CmdIncr, mc.CmdDecr:
		return e.incrDecr(r, dst)
	case mc.CmdTouch:
		return e.touch(r, dst)
	case mc.CmdDelete:
		return e.delete(r, dst)
	case mc.CmdQuit:
		return dst
	}
	return e.admin(r, dst)
}

// bad answers a request that could not be parsed. (A value over the limit is not among these: it takes the way of every
// other write, because a set that is refused for its size removes what was stored.)
func (e *Executor) bad(r *mc.Request, dst []byte) []byte {
	if r.Cmd == mc.CmdMA && (r.Bad == mc.BadKey || r.Bad == mc.BadFlags) {
		return appendLine(dst, errArithFlags)
	}
	if r.Bad == mc.BadCommand && e.o.MoveTime != nil {
		if line, ok := e.debugTime(r.Line); ok {
			return appendLine(dst, line)
		}
	}
	return mc.AnswerBad(dst, r, &e.rules)
}

// debugTime answers debugtime SECONDS, which tests of memcached's use.
func (e *Executor) debugTime(line []byte) (answer string, ok bool) {
	word, arg, _ := bytes.Cut(line, []byte(" "))
	if string(word) != "debugtime" {
		return "", false
	}
	seconds, err := strconv.ParseInt(string(arg), 10, 32)
	if err != nil {
		return "ERROR", true
	}
	e.o.MoveTime(seconds)
	return "OK", true
}

// say appends a line unless the client said noreply.
func say(dst []byte, r *mc.Request, line string) []byte {
	if r.NoReply {
		return dst
	}
	return appendLine(dst, line)
}

// appendLine appends a line and its end; meta errors go this way, because q never hides them.
func appendLine(dst []byte, line string) []byte {
	dst = append(dst, line...)
	return append(dst, '\r', '\n')
}

// The error lines that more than one command gives.
const (
	errFormat   = "CLIENT_ERROR bad command line format"
	errToken    = "CLIENT_ERROR bad token in command line format"
	errExptime  = "CLIENT_ERROR invalid exptime argument"
	errNotANum  = "CLIENT_ERROR cannot increment or decrement non-numeric value"
	errTooLarge = "SERVER_ERROR object too large for cache"
	errNoMemory = "SERVER_ERROR out of memory storing object"
	errOpaque   = "CLIENT_ERROR opaque token too long"

	errArithFlags = "CLIENT_ERROR invalid or duplicate flag" // ma's word for all of its malformed lines
)
