// Flights: frames that have been sent and not yet answered, and the queues that they are made of.

package leafnats

import (
	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

const (
	// maxKeep is the largest frame buffer that is kept for the next frame, and maxSpare how many are.
	maxKeep  = 1 << 20
	maxSpare = 16
)

// lane is the frame that the next turn of the writer will send.
type lane struct {
	list   backend.List
	buf    []byte        // room for a header, then the requests of list
	oldest int64         // when the first of list was queued
	term   *backend.Term // by which all of list were placed

	watched backend.Watched // those of list that somebody watches
	follow  []func()        // follow.go
}

// early holds requests until it is known how many lanes there are.
type early struct {
	list   backend.List
	buf    []byte
	ends   []int // where each request ends in buf
	oldest int64
	follow []func()
}

// push adds a request and gives its size.
func (e *early) push(r *mc.Request, p *backend.Pending) int {
	if e.list.Len() == 0 {
		e.oldest = startOf(p)
	}
	before := len(e.buf)
	if p.Mode != 0 {
		e.buf = append(e.buf, p.Mode)
	}
	e.buf = mc.AppendWire(e.buf, r)
	e.ends = append(e.ends, len(e.buf))
	e.list.Push(p)
	return len(e.buf) - before
}

// flight is a frame on its way. Who holds it alone, taken out of the Backend, owns it.
type flight struct {
	id       uint64
	lane     int
	list     backend.List // requests not answered yet, in order
	n        int          // requests in all
	size     int          // their bytes
	deadline int64
	buf      []byte // the frame, until it is published; with a term, until it is answered
	term     *backend.Term
	part     uint16 // the part of the answer that must come next
	carry    []byte // the beginning of an answer that the last part did not hold whole
	need     int    // how long that answer is, if known
	watched  backend.Watched
	follow   []func() // who waits for it: follow.go

	prev, next *flight // in flightList; next also in the free list
}

// flightList is ordered by deadline.
type flightList struct{ head, tail *flight }

func (l *flightList) insert(f *flight) {
	at := l.tail
	for at != nil && at.deadline > f.deadline {
		at = at.prev
	}
	f.prev = at
	if at == nil {
		f.next, l.head = l.head, f
	} else {
		f.next, at.next = at.next, f
	}
	if f.next == nil {
		l.tail = f
	} else {
		f.next.prev = f
	}
}

func (l *flightList) remove(f *flight) {
	if f.prev == nil {
		l.head = f.next
	} else {
		f.prev.next = f.next
	}
	if f.next == nil {
		l.tail = f.prev
	} else {
		f.next.prev = f.prev
	}
	f.prev, f.next = nil, nil
}

// takeLocked makes flights of everything queued, one for each lane that has something, and appends them to out, after those that
// were cut before.
func (b *Backend) takeLocked(out []*flight) []*flight {
	if len(b.cut) > 0 {
		out = append(out, b.cut...)
		clear(b.cut)
		b.cut = b.cut[:0]
	}
	if b.queued == 0 {
		return out
	}
	for i := range b.lanes {
		if b.lanes[i].list.Len() > 0 {
			out = append(out, b.flyLocked(i))
		}
	}
	return out
}

// flyLocked makes a flight of what is queued on a lane.
func (b *Backend) flyLocked(i int) *flight {
	ln, f := &b.lanes[i], b.free
	if f == nil {
		f = new(flight)
	} else {
		b.free = f.next
	}
	b.nextID++
	*f = flight{
		id: b.nextID, lane: i, list: ln.list, n: ln.list.Len(), size: len(ln.buf) - frame.Size,
		deadline: ln.oldest + int64(b.o.Timeout), buf: ln.buf, term: ln.term, watched: ln.watched,
		follow: ln.follow,
	}
	*ln = lane{buf: b.bufLocked()}
	b.queued--
	b.putLocked(f)
	return f
}

// turnLocked makes term that of a lane: what was queued by another goes in a frame of its own.
func (b *Backend) turnLocked(i int, term *backend.Term) {
	if b.lanes[i].list.Len() > 0 {
		b.cut = append(b.cut, b.flyLocked(i))
	}
	b.lanes[i].term = term
	if term != nil && (b.term == nil || term.Epoch > b.term.Epoch) {
		b.term = term
	}
}

// putLocked notes f as in flight.
func (b *Backend) putLocked(f *flight) {
	b.flights[f.id] = f
	b.byTime.insert(f)
	b.armLocked(f.deadline - int64(b.o.Timeout))
}

// claimLocked takes the flight of that id out; nil if it has been given up.
func (b *Backend) claimLocked(id uint64) *flight {
	f := b.flights[id]
	if f != nil {
		delete(b.flights, id)
		b.byTime.remove(f)
	}
	return f
}

// dischargeLocked ends the account of a flight. It comes before its requests are handed over: who has an answer may send again.
func (b *Backend) dischargeLocked(f *flight) {
	b.count -= f.n
	b.bytes -= f.size
	f.n, f.size = 0, 0
}

// endLocked forgets a flight that was taken out and will not be put back, and keeps its memory.
func (b *Backend) endLocked(f *flight) {
	b.dischargeLocked(f)
	if f.term != nil {
		b.fixLocked(f)
		tellAll(&f.follow)
	}
	if f.term != nil {
		b.returnLocked(f.buf)
	}
	*f = flight{next: b.free}
	b.free = f
}

// bufLocked gives an empty frame buffer with room for a header.
func (b *Backend) bufLocked() []byte {
	if n := len(b.spare); n > 0 {
		buf := b.spare[n-1]
		b.spare = b.spare[:n-1]
		return buf[:frame.Size]
	}
	return make([]byte, frame.Size, 4<<10)
}

// returnLocked takes a buffer back.
func (b *Backend) returnLocked(buf []byte) {
	if buf != nil && cap(buf) <= maxKeep && len(b.spare) < maxSpare {
		b.spare = append(b.spare, buf)
	}
}

// takeFlightsLocked gives up all flights: their requests go to out.
func (b *Backend) takeFlightsLocked(out *backend.List) {
	clear(b.cut) // their buffers are nobody's
	b.cut = b.cut[:0]
	for f := b.byTime.head; f != nil; f = b.byTime.head {
		b.giveUpLocked(f, out)
	}
}

// giveUpLocked takes f, which is in flight, out for good. Its buffer stays with the writer, which may be at it.
func (b *Backend) giveUpLocked(f *flight, out *backend.List) {
	b.claimLocked(f.id)
	out.Move(&f.list)
	b.dischargeLocked(f)
	tellAll(&f.follow)
}

// takeAllLocked gives up everything, queued or in flight.
func (b *Backend) takeAllLocked(out *backend.List) {
	b.takeFlightsLocked(out)
	for i := range b.lanes {
		b.dropLaneLocked(&b.lanes[i], out)
	}
	b.dropEarlyLocked(out)
}

func (b *Backend) dropLaneLocked(ln *lane, out *backend.List) {
	if ln.list.Len() == 0 {
		return
	}
	b.queued--
	b.count -= ln.list.Len()
	b.bytes -= len(ln.buf) - frame.Size
	ln.buf = ln.buf[:frame.Size]
	out.Move(&ln.list)
	tellAll(&ln.follow)
}

func (b *Backend) dropEarlyLocked(out *backend.List) {
	b.count -= b.early.list.Len()
	b.bytes -= len(b.early.buf)
	out.Move(&b.early.list)
	tellAll(&b.early.follow)
	b.early = early{}
}
