// Inboxes: which answers are written to a door, and which are nats-server's to deliver.

package leaf

import "sync"

// inboxes knows what has been subscribed by connections that have a door. Its methods may be called concurrently.
type inboxes struct {
	mu    sync.RWMutex
	all   map[string]inbox            // by subject
	doors map[*door]map[string]string // subjects by the numbers of subscriptions; a door that is not in here is closed
}

// inbox is who has subscribed a subject.
type inbox struct {
	o    *door // nil: nats-server knows
	sid  string
	subs int
}

// add begins to note what o subscribes.
func (b *inboxes) add(o *door) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.doors == nil {
		b.all, b.doors = map[string]inbox{}, map[*door]map[string]string{}
	}
	b.doors[o] = map[string]string{}
}

// enter notes a subscription. Where there are several for a subject, or one of a queue group, nats-server is to deliver.
func (b *inboxes) enter(o *door, sid, subject []byte, plain bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	subs := b.doors[o]
	if _, twice := subs[string(sid)]; subs == nil || twice { // nats-server takes no notice of a second one either
		return
	}
	subs[string(sid)] = string(subject)
	in := b.all[string(subject)]
	if in.subs++; in.subs == 1 && plain {
		in.o, in.sid = o, string(sid)
	} else {
		in.o = nil
	}
	b.all[string(subject)] = in
}

// exit ends a subscription, or leaves it to nats-server, which may count what it delivers until it ends it.
func (b *inboxes) exit(o *door, sid []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.exitLocked(o, string(sid))
}

func (b *inboxes) exitLocked(o *door, sid string) {
	subject, ok := b.doors[o][sid]
	if !ok {
		return
	}
	delete(b.doors[o], sid)
	in := b.all[subject]
	if in.subs--; in.o == o {
		in.o = nil
	}
	if b.all[subject] = in; in.subs == 0 {
		delete(b.all, subject)
	}
}

// gone ends all of o's.
func (b *inboxes) gone(o *door) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for sid := range b.doors[o] {
		b.exitLocked(o, sid)
	}
	delete(b.doors, o)
}

// of says who is to have what is published to a subject.
func (b *inboxes) of(subject string) inbox {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.all[subject]
}

// written reports whether nothing waits at any door for being written.
func (b *inboxes) written() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for o := range b.doors {
		if o.waits() {
			return false
		}
	}
	return true
}
