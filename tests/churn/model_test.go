// The model: which values a key may show, by what was sent and answered when.

package churn

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// clock is time since the start of the run.
type clock = time.Duration

const (
	pending = clock(1<<63 - 1)
	// late is by when a write that was answered with an error has been executed, or never is: what hangs in a frozen link is longer on its way
	// than its sender waits.
	late = 20 * time.Second
	// kept is how long a value is remembered that nobody may see any more.
	kept = time.Minute
)

// written is one value of a key. Absence is not one: a cache may forget.
type written struct {
	serial int
	start  clock
	end    clock // by when it was written, if ever
	dead   clock // from when on nobody may see it: something that began after end had been done then. pending: not yet
}

// key is what is known of one key. Its methods may be called concurrently.
type key struct {
	mu     sync.Mutex
	serial int
	values []*written
}

// write begins a write and gives what it is.
func (k *key) write(now clock) *written {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.serial++
	w := &written{k.serial, now, pending, pending}
	k.values = append(k.values, w)
	return w
}

// done ends one: acknowledged, refused (it was not executed, and never will be), or nobody knows.
func (k *key) done(w *written, now clock, acknowledged bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !acknowledged {
		w.end = now + late
		return
	}
	w.end = now
	k.buryLocked(w.start, now)
}

// refused ends one that was not executed.
func (k *key) refused(w *written) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.dead = w.start
}

// deleted notes a delete that was acknowledged.
func (k *key) deleted(start, now clock) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.buryLocked(start, now)
}

// buryLocked: something was done between start and now that leaves nothing from before it.
func (k *key) buryLocked(start, now clock) {
	keep := k.values[:0]
	for _, w := range k.values {
		if w.end < start && w.dead == pending {
			w.dead = now
		}
		if w.dead == pending || now-w.dead < kept {
			keep = append(keep, w)
		}
	}
	k.values = keep
}

// seen judges a value that was read between start and now.
func (k *key) seen(serial int, start, now clock) (wrong string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, w := range k.values {
		if w.serial != serial {
			continue
		}
		if w.dead < start {
			return fmt.Sprintf("stale: value %d was over %v before it was asked for, written at %v to %v; %s", serial, start-w.dead, w.start, w.end, k.tellLocked())
		}
		k.buryLocked(w.start, now) // it has been written, whatever was answered
		return ""
	}
	if serial <= 0 || serial > k.serial {
		return fmt.Sprintf("never written: value %d", serial)
	}
	return fmt.Sprintf("stale: value %d is long over; %s", serial, k.tellLocked())
}

// tellLocked lists what is known, for people.
func (k *key) tellLocked() string {
	var b strings.Builder
	for _, w := range k.values[max(0, len(k.values)-6):] {
		fmt.Fprintf(&b, " [%d: %v..%v dead %v]", w.serial, w.start, w.end, w.dead)
	}
	return "known:" + b.String()
}

// value is what is stored for a serial number of a key, and serialOf its reverse; 0: it is no such value.
func value(name string, serial, pad int) string {
	return name + "=" + strconv.Itoa(serial) + strings.Repeat(".", pad)
}

func serialOf(name, v string) int {
	rest, ok := strings.CutPrefix(v, name+"=")
	n, err := strconv.Atoi(strings.TrimRight(rest, "."))
	if !ok || err != nil {
		return 0
	}
	return n
}

// TestModel: what it has to notice, and what it has to let pass.
func TestModel(t *testing.T) {
	const s = time.Second
	write := func(k *key, at, end clock, acked bool) int {
		w := k.write(at)
		k.done(w, end, acked)
		return w.serial
	}
	for name, c := range map[string]struct {
		did   func(k *key)
		seen  int
		start clock
		wrong string
	}{
		"the last":                       {func(k *key) { write(k, 1*s, 2*s, true) }, 1, 3 * s, ""},
		"one that nobody wrote":          {func(k *key) { write(k, 1*s, 2*s, true) }, 2, 3 * s, "never written"},
		"no value at all":                {func(k *key) { write(k, 1*s, 2*s, true) }, 0, 3 * s, "never written"},
		"one that was overwritten":       {func(k *key) { write(k, 1*s, 2*s, true); write(k, 3*s, 4*s, true) }, 1, 5 * s, "stale"},
		"read while it was overwritten":  {func(k *key) { write(k, 1*s, 2*s, true); write(k, 3*s, 6*s, true) }, 1, 5 * s, ""},
		"one that was deleted":           {func(k *key) { write(k, 1*s, 2*s, true); k.deleted(3*s, 4*s) }, 1, 5 * s, "stale"},
		"written while it was deleted":   {func(k *key) { write(k, 1*s, 4*s, true); k.deleted(3*s, 5*s) }, 1, 6 * s, ""},
		"one that failed":                {func(k *key) { write(k, 1*s, 2*s, false); k.deleted(3*s, 4*s) }, 1, 5 * s, ""},
		"one that failed long ago":       {func(k *key) { write(k, 1*s, 2*s, false); k.deleted(30*s, 31*s) }, 1, 32 * s, "stale"},
		"one that a failed write covers": {func(k *key) { write(k, 1*s, 2*s, true); write(k, 3*s, 4*s, false) }, 1, 5 * s, ""},
		"one older than what was read": {func(k *key) {
			write(k, 1*s, 2*s, true)
			write(k, 3*s, 4*s, false)
			k.seen(2, 5*s, 6*s)
		}, 1, 7 * s, "stale"},
		"one that was refused":       {func(k *key) { k.refused(k.write(1 * s)) }, 1, 5 * s, "stale"},
		"one that is long forgotten": {func(k *key) { write(k, 1*s, 2*s, true); k.deleted(3*s, 4*s); k.deleted(100*s, 101*s) }, 1, 102 * s, "stale"},
	} {
		k := &key{}
		c.did(k)
		got := k.seen(c.seen, c.start, c.start+s/2)
		if c.wrong == "" && got != "" || !strings.HasPrefix(got, c.wrong) {
			t.Errorf("%s: %q, want %q", name, got, c.wrong)
		}
	}
	if n := serialOf("k", value("k", 12, 5)); n != 12 || serialOf("k", "j=1") != 0 || serialOf("k", "k=") != 0 {
		t.Errorf("serial number %d", n)
	}
}
