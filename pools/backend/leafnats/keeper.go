// The keeper: deadlines, and hello every second.

package leafnats

import (
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// keep fails what is past its deadline and has the leaf greeted, until the Backend is closed. It never calls NATS, which may hang.
func (b *Backend) keep() {
	tick := time.NewTicker(b.o.HelloInterval)
	defer tick.Stop()
	for {
		select {
		case <-b.quit:
			return
		case <-b.timer.C:
			b.expire()
		case <-tick.C:
			b.greet()
		}
	}
}

// armLocked sees to it that the keeper looks when something queued at start is due.
func (b *Backend) armLocked(start int64) {
	if b.armed && start >= b.armedFor {
		return // it looks before
	}
	b.armed, b.armedFor = true, start
	b.timer.Reset(time.Duration(start + int64(b.o.Timeout) - backend.Now()))
}

// expire fails what is past its deadline.
func (b *Backend) expire() {
	now := backend.Now()
	limit := now - int64(b.o.Timeout) // what was queued by then is due
	var out backend.List
	b.mu.Lock()
	b.armed = false
	counts := false
	for f := b.byTime.head; f != nil && f.deadline <= now; f = b.byTime.head {
		counts = counts || f.deadline-int64(b.o.Timeout) > b.judged
		b.giveUpLocked(f, &out)
	}
	next := int64(0)
	note := func(start int64) {
		if next == 0 || start < next {
			next = start
		}
	}
	// What is still queued now could not be sent: the writer hangs in NATS, or the leaf has not said hello.
	for i := range b.lanes {
		ln := &b.lanes[i]
		if ln.list.Len() == 0 {
			continue
		}
		if ln.oldest <= limit {
			counts = counts || ln.oldest > b.judged
			b.dropLaneLocked(ln, &out)
		} else {
			note(ln.oldest)
		}
	}
	if b.early.list.Len() > 0 {
		if b.early.oldest <= limit {
			b.dropEarlyLocked(&out)
		} else {
			note(b.early.oldest)
		}
	}
	if f := b.byTime.head; f != nil {
		note(f.deadline - int64(b.o.Timeout))
	}
	if next != 0 {
		b.armLocked(next)
	}
	if counts {
		b.judged = now
	}
	b.mu.Unlock()
	depth := out.Len()
	failAll(&out, backend.ErrTimeout)
	if counts {
		b.failed(backend.EventTimeout, backend.ErrTimeout, depth)
	}
}

// greet has the leaf greeted, and marks it down if it has been silent for too long. A keeper that was held up itself (the process was
// stopped, the machine had no time for it) cannot tell: the answers may be waiting to be read. It gives the leaf one more interval.
func (b *Backend) greet() {
	now := backend.Now()
	b.mu.Lock()
	if b.sess != nil && b.greeted != 0 && now-b.greeted >= 2*int64(b.o.HelloInterval) {
		b.sess.heard = max(b.sess.heard, now-int64(b.o.HelloLimit)+int64(b.o.HelloInterval))
	}
	b.greeted = now
	b.noSession = false
	b.helloDue = b.sess != nil
	silent := b.sess != nil && now-b.sess.heard > int64(b.o.HelloLimit)
	b.mu.Unlock()
	if silent {
		b.lose(backend.EventTimeout, errSilent, func() {})
	}
	b.wakeWriter()
}

// askAgain has the leaf greeted at once, because something hints that it is not what it was.
func (b *Backend) askAgain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.up { // a hello of which nobody takes note comes back as such a hint: those are left to the keeper
		b.hintLocked()
	}
}

// hintLocked is askAgain for hints that no hello can bring about.
func (b *Backend) hintLocked() {
	if now := backend.Now(); !b.helloDue && b.sess != nil && now-b.asked > int64(hintWait) {
		b.helloDue, b.asked = true, now
		b.wakeWriter()
	}
}

var _ backend.Welcomer = (*Backend)(nil)

// Welcome implements backend.Welcomer.
func (b *Backend) Welcome() {
	b.mu.Lock()
	if b.closed || b.o.Down || b.hopeful || b.up && b.health.Allow() {
		b.mu.Unlock()
		return
	}
	b.welcome = true
	b.helloDue = b.sess != nil
	b.mu.Unlock()
	b.wakeWriter()
	b.conn.hurry()
}

// hears reports whether the leaf answers hello, as far as that is known. One that has had no time to do so yet may.
func (b *Backend) hears() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sess
	return s == nil || s.unheard == 0 || backend.Now()-s.unheard <= int64(b.o.HelloInterval)
}

// hintWait is the least time between two hellos that are said because of a hint.
const hintWait = 50 * time.Millisecond
