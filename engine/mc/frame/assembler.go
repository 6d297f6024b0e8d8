// Parts put together again, within bounds.

package frame

import (
	"errors"
	"time"
)

// Limits bound what an Assembler holds; the zero value of each is its default.
type Limits struct {
	Bytes  int64         // of all parts held, bookkeeping included; 0 = 64 MiB
	Frames int           // frames in progress; 0 = 256
	Age    time.Duration // from a frame's first part to its last; 0 = 10 s
}

const (
	defaultBytes  = 64 << 20
	defaultFrames = 256
	defaultAge    = 10 * time.Second
	partCost      = 24 // bookkeeping bytes for each part announced
	frameCost     = 128
)

// Why a part is not taken. The whole frame is dropped with it; its later parts make a frame that never gets whole
// and goes by age.
var (
	ErrFull     = errors.New("frame: too much is being put together")
	ErrTooLarge = errors.New("frame: larger than may be put together")
	ErrMismatch = errors.New("frame: parts of one frame differ")
)

// Assembler collects the parts of frames until they are whole. The zero value works with the default Limits.
// Time is the caller's: any clock in nanoseconds that does not go back.
type Assembler struct {
	Limits

	held   int64
	frames map[source]*partial
}

// source is whose frame it is: ids are unique only among one sender's.
type source struct {
	from string
	id   uint64
}

type partial struct {
	head  Header
	parts [][]byte // nil: not yet there
	got   int
	bytes int // of bodies
	cost  int64
	since int64
}

// Add takes one message, parsed, of the sender named from (its reply subject). done: body is that of the whole
// frame and head its header, that of the first part with Part 0, Parts 1 and the whole Len. A frame of one part is done at once and body
// is given back as it is.
func (a *Assembler) Add(from string, h Header, body []byte, now int64) (head Header, whole []byte, done bool, err error) {
	if h.Parts <= 1 {
		return h, body, true, nil
	}
	key := source{from, h.ID}
	p := a.frames[key]
	if p != nil && a.overdue(p, now) {
		a.drop(key, p)
		p = nil
	}
	if p == nil {
		if p, err = a.begin(key, &h, now); err != nil {
			return Header{}, nil, false, err
		}
	}
	switch {
	case p.head.Parts != h.Parts || p.head.Flags != h.Flags || p.head.Instance != h.Instance || p.head.Epoch != h.Epoch:
		a.drop(key, p)
		return Header{}, nil, false, ErrMismatch
	case p.parts[h.Part] != nil:
		return Header{}, nil, false, nil // sent twice
	}
	if err = a.room(key, p.cost+int64(len(body)), int64(len(body)), now); err != nil {
		a.drop(key, p)
		return Header{}, nil, false, err
	}
	p.add(&h, body)
	a.held += int64(len(body))
	if p.got < len(p.parts) {
		return Header{}, nil, false, nil
	}
	head, whole = p.join()
	a.drop(key, p)
	return head, whole, true, nil
}

// begin makes place for a new frame.
func (a *Assembler) begin(key source, h *Header, now int64) (*partial, error) {
	cost := frameCost + int64(h.Parts)*partCost
	if len(a.frames) >= a.maxFrames() {
		a.Expire(now)
		if len(a.frames) >= a.maxFrames() {
			return nil, ErrFull
		}
	}
	if err := a.room(key, cost, cost, now); err != nil {
		return nil, err
	}
	p := &partial{head: *h, parts: make([][]byte, h.Parts), cost: cost, since: now}
	if a.frames == nil {
		a.frames = make(map[source]*partial)
	}
	a.frames[key] = p
	a.held += cost
	return p, nil
}

// room: is there room for more bytes, of a frame that would then hold all?
func (a *Assembler) room(key source, all, more, now int64) error {
	limit := a.Bytes
	if limit == 0 {
		limit = defaultBytes
	}
	if all > limit {
		return ErrTooLarge
	}
	if a.held+more <= limit {
		return nil
	}
	a.expire(now, key)
	if a.held+more > limit {
		return ErrFull
	}
	return nil
}

func (p *partial) add(h *Header, body []byte) {
	if body == nil {
		body = []byte{}
	}
	if h.Part == 0 {
		p.head = *h
	}
	p.parts[h.Part] = body
	p.got++
	p.bytes += len(body)
	p.cost += int64(len(body))
}

func (p *partial) join() (Header, []byte) {
	whole := make([]byte, 0, p.bytes)
	for _, b := range p.parts {
		whole = append(whole, b...)
	}
	p.head.Part, p.head.Parts, p.head.Len = 0, 1, uint32(p.bytes)
	return p.head, whole
}

// Expire drops the frames that have been in progress for too long and returns how many. Add does so by itself only
// when it runs short; call it now and then so that the memory is not held for ever.
func (a *Assembler) Expire(now int64) int { return a.expire(now, source{}) }

func (a *Assembler) overdue(p *partial, now int64) bool {
	age := a.Age
	if age == 0 {
		age = defaultAge
	}
	return now-p.since > int64(age)
}

func (a *Assembler) expire(now int64, but source) (n int) {
	for key, p := range a.frames {
		if key != but && a.overdue(p, now) {
			a.drop(key, p)
			n++
		}
	}
	return n
}

// Forget drops what a sender has begun: it is gone, or its subject is.
func (a *Assembler) Forget(from string) {
	for key, p := range a.frames {
		if key.from == from {
			a.drop(key, p)
		}
	}
}

func (a *Assembler) drop(key source, p *partial) {
	a.held -= p.cost
	delete(a.frames, key)
}

func (a *Assembler) maxFrames() int {
	if a.Frames == 0 {
		return defaultFrames
	}
	return a.Frames
}

// Held is what is in progress: frames, and the bytes that count against Limits.Bytes.
func (a *Assembler) Held() (frames int, bytes int64) { return len(a.frames), a.held }
