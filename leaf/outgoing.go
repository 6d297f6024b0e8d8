// One stream: from the store into frames, as its reader takes them.

package leaf

import (
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/leaf/stream"
)

// Why a stream ends before the items do.
var (
	errReaderGone   = errors.New("reader is gone")
	errReaderStuck  = errors.New("the reader takes nothing")
	errReaderEnough = errors.New("reader wants no more")
	errLeafStops    = errors.New("the leaf stops")
)

// outgoing is one stream and its goroutine.
//
// It works a small part of its time (pace.go), a batch of the store's at a time, so that requests find the processor free, at the leaf
// that reads it, too.
type outgoing struct {
	l              *Leaf
	id             uint64
	q              frame.StreamRequest
	reply, subject string // where to, and what is there for NATS to say that nobody is
	chunk          int

	ackedTo atomic.Uint64 // bytes of bodies that the reader has taken
	heard   atomic.Int64  // acknowledgements
	ended   atomic.Pointer[error]
	wake    chan struct{}
	timer   *time.Timer

	// The goroutine's.
	buf         []byte // room for a header, then what is to be sent
	sent        uint64 // bytes of bodies
	items       int64
	read        bool // by its reader, as far as that wanted
	lastSent    time.Time
	lastHeard   time.Time
	lastBeat    time.Time
	heardBefore int64
	pace        pace
}

func newOutgoing(l *Leaf, id uint64, q frame.StreamRequest, reply string) *outgoing {
	p := paceKeys
	if q.Mode == frame.StreamItems {
		p = paceItem
	}
	return &outgoing{
		pace: p, l: l, id: id, q: q, reply: reply, subject: frame.StreamSubject(l.o.Name) + "." + strconv.FormatUint(id, 10),
		chunk: min(streamChunk, int(q.Window), frame.MaxBody(int(l.maxPayload.Load()))),
		wake:  make(chan struct{}, 1), buf: make([]byte, frame.Size, 2*streamChunk),
	}
}

// ack notes what the reader says.
func (s *outgoing) ack(n uint64) {
	if n == frame.StreamCancel {
		s.end(errReaderEnough)
		return
	}
	for old := s.ackedTo.Load(); n > old; old = s.ackedTo.Load() {
		if s.ackedTo.CompareAndSwap(old, n) {
			break
		}
	}
	s.heard.Add(1)
	s.rouse()
}

// known: the reader has been heard of.
func (s *outgoing) known() bool { return s.heard.Load() > 0 }

// end makes the stream end for that reason, if it has none yet.
func (s *outgoing) end(why error) {
	s.ended.CompareAndSwap(nil, &why)
	s.rouse()
}

func (s *outgoing) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// over says why the stream has to end; nil: it has not.
func (s *outgoing) over() error {
	if e := s.ended.Load(); e != nil {
		return *e
	}
	return nil
}

// run sends it all.
func (s *outgoing) run() {
	now := time.Now()
	s.lastSent, s.lastHeard, s.lastBeat = now, now, now
	s.timer = time.NewTimer(s.l.streams.times.beat)
	defer s.timer.Stop()
	if s.greet() {
		s.pace.resume(time.Now())
		s.l.local.Store.List(store.Listing{
			Prefix: s.q.Prefix, Values: s.q.Mode == frame.StreamItems, Hottest: s.q.Order == frame.StreamHottest,
			Past: s.q.Past != nil, Between: s.between,
		}, s.item)
	}
	s.finish()
}

// greet says that it is there and waits until the reader does.
func (s *outgoing) greet() bool {
	s.publish(nil, 0)
	for !s.known() {
		if !s.await() {
			return false
		}
	}
	return true
}

// item takes one of the store's.
func (s *outgoing) item(it *store.Listed) bool {
	if p := s.q.Past; p != nil && !s.l.lostTo(it, p) {
		return s.over() == nil
	}
	before := len(s.buf)
	now := s.l.o.Now().UnixMilli()
	if s.q.Mode == frame.StreamItems {
		s.buf = stream.AppendItem(s.buf, it, now)
	} else {
		s.buf = stream.AppendKey(s.buf, it, now)
	}
	if len(s.buf) > before {
		s.items++
	}
	if len(s.buf)-frame.Size >= s.chunk && !s.flush(false) {
		return false
	}
	return s.over() == nil && (s.q.Limit == 0 || s.items < s.q.Limit)
}

// between is called with nothing locked, a thousand items after it was last.
func (s *outgoing) between() bool {
	if rest := s.pace.rest(time.Now()); rest > 0 {
		s.timer.Reset(rest)
		select {
		case <-s.timer.C:
		case <-s.l.quit:
			s.end(errLeafStops)
		}
		s.pace.resume(time.Now())
	}
	return s.alive()
}

// flush sends whole chunks of what was gathered, all of it if it is to be.
func (s *outgoing) flush(all bool) bool {
	at := frame.Size
	for len(s.buf)-at >= s.chunk || all && at < len(s.buf) {
		end := min(at+s.chunk, len(s.buf))
		if !s.awaitRoom(uint64(end - at)) {
			return false
		}
		s.publish(s.buf[at-frame.Size:end], 0) // the header goes over bytes that were sent before
		at = end
	}
	s.buf = append(s.buf[:frame.Size], s.buf[at:]...)
	if cap(s.buf) > maxKeep && len(s.buf) < streamChunk {
		s.buf = append(make([]byte, 0, 2*streamChunk), s.buf...)
	}
	return s.over() == nil
}

// awaitRoom waits until the reader has room for n bytes more; false if the stream is over.
func (s *outgoing) awaitRoom(n uint64) bool {
	since, taken := time.Now(), s.ackedTo.Load()
	for s.sent+n > s.ackedTo.Load()+uint64(s.q.Window) {
		if !s.await() {
			return false
		}
		if a := s.ackedTo.Load(); a != taken {
			since, taken = time.Now(), a
		} else if time.Since(since) > s.l.streams.times.stuck {
			s.end(errReaderStuck)
		}
	}
	return s.over() == nil
}

// awaitTaken waits until the reader has worked through all that it was sent; false if it is not heard of any more.
func (s *outgoing) awaitTaken() bool {
	for s.ackedTo.Load() < s.sent {
		if !s.await() {
			return false
		}
	}
	return true
}

// publish sends a frame whose body stands in msg behind room for a header; a sign of life without one.
func (s *outgoing) publish(msg []byte, mark uint32) {
	var empty [frame.Size]byte
	if msg == nil {
		msg = empty[:]
	}
	h := frame.Header{Flags: frame.FlagAnswer, Instance: s.l.instance, ID: s.id, Acked: s.sent, Millis: mark}
	h.Put(msg)
	s.lastSent = time.Now()
	if err := s.l.nc.PublishRequest(s.reply, s.subject, msg); err != nil {
		s.l.count.lost.Add(1)
		s.end(err) // there is no connection: what was on its way is lost
		return
	}
	s.sent += uint64(len(msg) - frame.Size)
	s.l.count.streamBytes.Add(uint64(len(msg)))
}

// await waits until the reader says something, or it is time for a word to it; false if the stream is over.
func (s *outgoing) await() bool {
	s.timer.Reset(s.l.streams.times.beat)
	select {
	case <-s.wake:
	case <-s.timer.C:
	case <-s.l.quit:
		s.end(errLeafStops)
	}
	s.pace.resume(time.Now())
	return s.alive()
}

// alive looks after the reader, and lets it know of us; false if the stream is over.
func (s *outgoing) alive() bool {
	now, times := time.Now(), s.l.streams.times
	if n := s.heard.Load(); n != s.heardBefore {
		s.heardBefore, s.lastHeard = n, now
	}
	switch {
	case now.Sub(s.lastHeard) > times.silent:
		s.end(errReaderGone)
	case now.Sub(s.lastSent) >= times.beat, now.Sub(s.lastHeard) >= times.beat && now.Sub(s.lastBeat) >= times.beat:
		s.lastBeat = now
		s.publish(nil, 0)
	}
	return s.over() == nil
}

// finish says how it ended.
func (s *outgoing) finish() {
	c := &s.l.count
	c.streamItems.Add(uint64(s.items))
	if s.over() == nil {
		s.buf = append(s.buf, "EN\r\n"...)
		if s.flush(true) && (s.q.Past == nil || s.awaitTaken()) {
			s.read = true
			return
		}
	}
	if s.over() == errReaderEnough { // also if it says so while the end is on its way to it
		s.read = true
		return
	}
	c.streamsCut.Add(1)
	s.l.o.Log.Info("stream cut", "leaf", s.l.o.Name, "stream", s.id, "items", s.items, "err", s.over())
	s.buf = append(append(append(s.buf[:frame.Size], "SERVER_ERROR "...), s.over().Error()...), "\r\n"...)
	s.publish(s.buf, frame.StreamCut)
}
