// Executing a frame: requests out of it, answers into frames.

package leaf

import (
	"errors"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// errLost: where the next request of a frame begins cannot be told.
var errLost = errors.New("not a request")

const (
	// flushAt is the size from which an answer is sent although more of it will follow, in bytes.
	flushAt = 1 << 20
	// maxKeep is the largest answer buffer that a lane keeps.
	maxKeep = 4 << 20

	answerBadFrame = "CLIENT_ERROR bad frame\r\n"
	answerNone     = "SERVER_ERROR no answer\r\n"
)

// execute runs what is left of w. It reports false if it had to stop for want of room; w then holds the rest.
func (ln *lane) execute(w *work) (done bool) {
	l := ln.l
	if w.epoch > l.members.fenced.Load() {
		l.raise(w.epoch, nil)
	}
	ln.exec.Lock()
	defer ln.exec.Unlock()
	why := frame.Reason(0)
	switch {
	case !l.o.Now().Before(w.expires):
		why = frame.ReasonExpired
	case l.members.outdated(w.epoch): // it came before the newer one was known, or has waited for room
		why = frame.ReasonEpoch
	}
	if why != 0 {
		l.refuse(w.peer.reply, w.id, why)
		l.uncharge(w.peer, w.size)
		return true
	}
	for len(w.body) > 0 {
		n, err := ln.cut(w)
		if err != nil && !w.begun {
			l.refuse(w.peer.reply, w.id, frame.ReasonFormat)
			l.uncharge(w.peer, w.size)
			return true
		}
		if !ln.executeChunk(w, n) {
			ln.emit(w, false)
			return false
		}
		if err != nil {
			// Too late to refuse the frame. The rest has one answer, in its place.
			l.count.refused[frame.ReasonFormat].Add(1)
			ln.dst = append(ln.dst, answerBadFrame...)
			break
		}
	}
	ln.emit(w, true)
	l.uncharge(w.peer, w.size) // last: a leaf that stops waits for it
	return true
}

// cut parses up to chunk requests at the start of w's body. An error means that what follows them is not a request.
func (ln *lane) cut(w *work) (n int, err error) {
	var p mc.Parser
	at, body := 0, w.body
	for n < chunk && at < len(body) {
		ln.modes[n] = 0
		if m := body[at]; m < frame.Modes && w.epoch != 0 {
			ln.modes[n] = m
			at++
		}
		took, _, err := p.Next(body[at:], &ln.l.rules, &ln.reqs[n])
		if err == nil && (lost(&ln.reqs[n]) || p.Swallow > 0) { // to be swallowed: a value that goes beyond the frame
			err = errLost
		}
		if err != nil {
			return n, err
		}
		at += took
		ln.ends[n] = at
		n++
	}
	return n, nil
}

// lost: where a value ends cannot be told, so what follows it would be taken for commands. A client may do that to its own
// connection; a frame carries many clients', and whoever sends it has parsed them.
func lost(r *mc.Request) bool {
	return r.Bad.Closes() || r.Bad == mc.BadChunk || r.Bad == mc.BadFormat && r.Cmd.HasValue()
}

// executeChunk executes the first n requests of ln.reqs and cuts them off w. It reports false, with w holding what is left,
// if the proxy has no room for more answers.
func (ln *lane) executeChunk(w *work, n int) bool {
	l := ln.l
	at := 0
	for i := range n {
		if !w.peer.room(len(ln.dst)-frame.Size, l.o.MaxItem) {
			w.body = w.body[at:]
			l.count.requests.Add(uint64(i))
			return false
		}
		w.begun = true
		ln.dst = l.answer(&ln.reqs[i], ln.modes[i], ln.dst)
		at = ln.ends[i]
		if len(ln.dst) >= flushAt && at < len(w.body) {
			ln.emit(w, false)
		}
	}
	w.body = w.body[at:]
	l.count.requests.Add(uint64(n))
	return true
}

// answer executes one request. Whatever it is, it has exactly one answer: the proxy counts them.
func (l *Leaf) answer(r *mc.Request, mode uint8, dst []byte) []byte {
	before := len(dst)
	if mode == 0 {
		dst = l.exec(r, dst)
	} else {
		dst = l.answerMode(r, mode, dst)
	}
	if len(dst) == before {
		dst = append(dst, answerNone...)
	}
	return dst
}

// emit sends ln.dst as the next part or parts of w's answer; with last as its end. While an answer grows, its parts say that
// one more follows; the receiver is done when a part is the last of those it names.
func (ln *lane) emit(w *work, last bool) {
	body := ln.dst[frame.Size:]
	if len(body) == 0 && !last {
		return
	}
	limit := frame.MaxBody(int(ln.l.maxPayload.Load()))
	for first := 0; ; first += limit {
		end := min(first+limit, len(body))
		// The header goes over the bytes just before, which NATS has copied already.
		msg := ln.dst[first : frame.Size+end]
		h := frame.Header{
			Flags: frame.FlagAnswer, Part: w.parts, Parts: w.parts + 2,
			Instance: ln.l.instance, ID: w.id, Epoch: ln.l.members.fenced.Load(),
		}
		if last && end == len(body) {
			h.Parts = w.parts + 1
		}
		h.Put(msg)
		w.parts++
		if err := w.peer.send(ln.l, msg); err != nil {
			ln.l.count.lost.Add(1)
		} else {
			ln.l.count.bytesOut.Add(uint64(len(msg)))
		}
		if end == len(body) {
			break
		}
	}
	if cap(ln.dst) > maxKeep {
		ln.dst = make([]byte, 0, 64<<10)
	}
	ln.dst = ln.dst[:frame.Size]
}
