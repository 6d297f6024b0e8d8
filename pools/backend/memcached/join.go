// Gets that are queued one after the other travel as one get of several keys.
//
// A memcached answers each pipelined get with a system call of its own, and each answer arrives as a segment of its own; a get of several
// keys is answered with one of each. So the writer's queue joins gets that would follow one another on the connection anyway. Nothing
// waits for that, and order is kept: only the request that was queued last is joined to, and only while it is not written.

package memcached

import (
	"errors"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// maxJoined is the longest line that comes of joining, in bytes. A server need not read lines of more than 2048 (memcached does, of gets).
const maxJoined = 1536

// joint is the way back of a get of several keys. The reader's.
type joint struct {
	open  bool // its END has not come
	left  int  // how many of its requests, at the head of due, have no answer
	trial bool
}

// tail is the last request in wbuf, if others may be joined to it.
type tail struct {
	cmd mc.Cmd
	at  int // where its line begins; meaningless without a cmd
}

// joinLocked joins r to the request that was queued last, if both are gets. If not it reports false and r is to be queued as it is.
func (c *conn) joinLocked(r *mc.Request, p *backend.Pending) bool {
	if r.Cmd != mc.CmdGet && r.Cmd != mc.CmdGets || !c.joins {
		c.tail = tail{}
		return false
	}
	follows := c.tail.cmd == r.Cmd
	if !c.trial.proven && c.tryLocked(r, p, follows) {
		c.tail = tail{}
		return true
	}
	more := len(" ") + len(r.Key)
	if !follows || !c.trial.proven || len(c.wbuf)-c.tail.at+more > maxJoined || c.b.o.TLS.On && !c.inRecordLocked(more) {
		c.tail = tail{r.Cmd, len(c.wbuf)}
		return false
	}
	c.wbuf = append(c.wbuf[:len(c.wbuf)-len("\r\n")], ' ')
	c.wbuf = append(append(c.wbuf, r.Key...), "\r\n"...)
	p.Note |= noteJoined
	return true
}

// joined reports whether p, the head of due, is the first of several that were joined.
func joined(p *backend.Pending) bool { return p.Next != nil && p.Next.Note&noteJoined != 0 }

// enter begins with the answer to those that were joined to p, and p.
func (j *joint) enter(p *backend.Pending) {
	*j = joint{open: true, left: 1, trial: p.Note&noteTrial != 0}
	for ; joined(p); p = p.Next {
		j.left++
	}
}

var errBadEnd = errors.New("answer to a get ends in something else than END")

// part takes one part of the answer to joined gets off the buffer: a value, which is one request's, or what ends it all.
func (c *conn) part(now int64) (done, need int, f *failure) {
	n, need, err := mc.ParsePart(c.rbuf[c.from:c.to], &c.resp)
	if err != nil {
		if errors.Is(err, mc.ErrMore) {
			return 0, need, nil
		}
		return 0, 0, failed(parseKind(err, c.peek()), backend.ErrProtocol, "%w: %q", err, c.peek())
	}
	if c.resp.Type != mc.TypeGet {
		return c.lastPart(n, now)
	}
	before, p := c.whose(c.resp.Key())
	if p == nil && c.joint.trial && keyNote(c.resp.Key()) == c.trial.note {
		c.from += n
		c.prove()
		return 0, 0, nil
	}
	if p == nil {
		return 0, 0, failed(backend.EventInvalidProtocol, backend.ErrProtocol, "%w: %q", errKey, c.peek())
	}
	if !c.b.o.Room() {
		return 0, 0, failed(backend.EventOutOfMemory, backend.ErrOverloaded, "no memory for an answer of %d bytes", n)
	}
	c.due.PopAfter(before)
	c.joint.left--
	c.from += n
	p.Resp = c.resp
	c.complete(p, c.from-n)
	p.Err, p.End = nil, now
	c.wakes.Answer(p)
	return 1, 0, nil
}

// whose finds the request for key among those that have no answer, and the one before it, if any. Servers answer in order; nothing here rests on it.
func (c *conn) whose(key []byte) (before, p *backend.Pending) {
	note := keyNote(key)
	p = c.due.Head()
	for range c.joint.left {
		if p.Note>>noteBits<<noteBits == note {
			return before, p
		}
		before, p = p, p.Next
	}
	return nil, nil
}

// complete gives p the value at rbuf[at:from] and the END that a get of its own would have had.
func (c *conn) complete(p *backend.Pending, at int) {
	const end = "END\r\n"
	raw := c.rbuf[at:c.from]
	if len(raw)+len(end) < backend.Large {
		p.Buf = append(append(p.Buf[:0], raw...), end...)
		p.Resp.Rebase(p.Buf)
		return
	}
	block, buf := c.block, c.rbuf
	all := at + len(raw) + len(end)
	c.replace(len(buf)) // the rest is out of the way now
	if all > len(buf) {
		whole := backend.NewBlock(len(raw) + len(end))
		copy(whole.B, raw)
		block.Release()
		block, buf, at, all = whole, whole.B, 0, len(raw)+len(end)
	}
	copy(buf[all-len(end):], end)
	p.Own(block, buf[at:all:all])
	p.Resp.Rebase(p.Buf)
}

// lastPart ends the answer with the n bytes at the front of the buffer: END, so that those without a value are misses, or an error, which is theirs.
func (c *conn) lastPart(n int, now int64) (done, need int, f *failure) {
	verdict, why := judge(noteGet, &c.resp)
	if why != nil {
		return 0, 0, failed(verdict, backend.ErrProtocol, "%w: %q", errBadEnd, c.peek())
	}
	raw := c.rbuf[c.from : c.from+n]
	c.from += n
	if c.joint.trial && !c.endTrial(verdict != "" && c.joint.left > 0) {
		c.joint = joint{}
		return 0, 0, nil
	}
	for ; c.joint.left > 0; c.joint.left-- {
		p := c.due.Pop()
		p.Resp = c.resp
		p.Buf = append(p.Buf[:0], raw...)
		p.Resp.Rebase(p.Buf)
		p.Err, p.End = nil, now
		c.wakes.Answer(p)
		done++
	}
	c.joint = joint{}
	if verdict != "" {
		return done, 0, failed(verdict, backend.ErrProtocol, "answered %q", raw[:min(len(raw), 100)])
	}
	return done, 0, nil
}
