// Whether a server takes gets of several keys: what it greets with says that it should, a trial that it does.
//
// The trial puts nobody's answer at risk. When gets are about to be joined for the first time, one get has a second key added that was found there a
// moment ago, and whose value nobody waits for. If it comes, the server is proven. If not, the key may be gone, or the server looks at the
// first key alone; after a few of those it is asked one by one for as long as the connection lasts. A server that answers with an error is asked
// again for the one key that was wanted.

package memcached

import (
	"regexp"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

const (
	maxTrials = 3        // of a connection
	maxKnown  = 16 << 10 // bytes of the value that is asked for in vain

	// What a server is sent stays as plain as what clients send until there is something to gain: so many requests are queued or unanswered at once,
	busy = 16
	// or a connection has taken so many in all, and two gets queue up.
	used = 1000
)

// trial is what a connection knows of its server. conn.mu guards it, but for curious and hit, which are the reader's, and note and key, which the reader
// may read while a trial is under way.
type trial struct {
	proven bool
	under  bool   // one is under way
	n      int    // how many there were
	known  []byte // a key that was there
	note   uint64 // of the key that was added
	key    []byte // that was wanted

	curious bool   // hits are looked at
	hit     []byte // the key of one
}

// memcached's own versions, with what distributions and git add to them. What greets otherwise may be a proxy, or something that was
// made to be like memcached, and is not asked in ways that it might not expect.
var ownVersion = regexp.MustCompile(`^VERSION 1\.([4-9]|[1-9][0-9])\.[0-9]+([ _].*)?\r?\n$`)

// greetedLocked decides whether gets are joined for the server that has greeted so.
func (c *conn) greetedLocked(greeting []byte) {
	c.trial = trial{known: c.trial.known[:0], key: c.trial.key[:0], hit: c.trial.hit[:0]}
	switch c.b.o.Multiget {
	case backend.MultigetAlways:
		c.joins, c.trial.proven = true, true
	case backend.MultigetNever:
		c.joins = false
	default:
		c.joins = ownVersion.Match(greeting)
		c.trial.curious = c.joins
	}
}

// tryLocked makes r a trial, if it is time for one. follows: it might have been joined to another get.
func (c *conn) tryLocked(r *mc.Request, p *backend.Pending, follows bool) bool {
	t := &c.trial
	due := c.depth.Load() >= busy || follows && c.queued >= used
	if r.Cmd != mc.CmdGet || !due || t.under || len(t.known) == 0 || string(r.Key) == string(t.known) {
		return false
	}
	t.under, t.note = true, keyNote(t.known)
	t.n++
	t.key = append(t.key[:0], r.Key...)
	at := len(c.wbuf)
	c.wbuf = mc.AppendWire(c.wbuf, r)
	c.wbuf = append(append(append(c.wbuf[:len(c.wbuf)-len("\r\n")], ' '), t.known...), "\r\n"...)
	if c.b.o.TLS.On {
		c.cutLocked(at)
	}
	p.Note |= noteTrial
	return true
}

// see notes a hit whose key can be asked for in a trial.
func (t *trial) see(r *mc.Response) {
	if len(t.hit) == 0 && r.Type == mc.TypeGet && r.VLen() <= maxKnown {
		t.hit = append(t.hit, r.Key()...)
	}
}

// learnLocked has the next trial ask for what was seen.
func (c *conn) learnLocked() {
	t := &c.trial
	t.known = append(t.known[:0], t.hit...)
	t.hit = t.hit[:0]
}

// prove: the server has answered a second key.
func (c *conn) prove() {
	c.trial.curious = false
	c.mu.Lock()
	c.trial.proven = true
	c.mu.Unlock()
}

// endTrial ends a trial. If the server did not like it, the request is asked again by itself, and false is reported.
func (c *conn) endTrial(disliked bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &c.trial
	t.under, t.known = false, t.known[:0]
	if !t.proven && (disliked || t.n >= maxTrials) {
		c.joins, t.curious = false, false
	}
	if !disliked {
		return true
	}
	p := c.due.Pop()
	p.Note &^= noteTrial
	c.wbuf = append(append(append(c.wbuf, "get "...), t.key...), "\r\n"...)
	c.tail = tail{}
	c.unsent.Push(p)
	c.inflight--
	if c.idle {
		c.idle = false
		c.Kick()
	}
	return false
}
