// Following the configuration files: a reload when what they say has changed, without a signal.

package engine

import (
	"crypto/sha256"
	"maps"
	"sync"
	"time"
)

// digest is what a file says; the zero digest: it could not be read.
type digest [sha256.Size]byte

// reads are the files that the last load read or looked for, modules and data too, and what was in them. They are kept of loads that failed as
// well: those are not tried again before something has changed. The zero value is ready.
type reads struct {
	mu   sync.Mutex
	on   bool // a load goes on: what is read otherwise, by scripts that may, is none of the configuration
	seen map[string]digest
}

func (r *reads) begin() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on, r.seen = true, map[string]digest{}
}

func (r *reads) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.on = false
}

func (r *reads) note(path string, d digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on {
		r.seen[path] = d
	}
}

// last gives what the last load saw.
func (r *reads) last() map[string]digest {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.seen)
}

// digestOf is nothing that a file's text can be chosen to equal.
func digestOf(text []byte, err error) digest {
	if err != nil {
		return digest{}
	}
	return sha256.Sum256(text)
}

// readFile reads a file for a load, or for a script of it.
func (l *loader) readFile(path string) ([]byte, error) {
	text, err := l.p.opts.Read(path)
	l.reads.note(path, digestOf(text, err))
	return text, err
}

// follower decides when to load again.
type follower struct {
	read   func(path string) ([]byte, error)
	last   func() map[string]digest // what the last load saw
	before map[string]digest        // the look before, if it was not that; nil: it was
}

// look reads the files again and says whether to load them: they say something else than when they were loaded last, and have said it at two
// looks in a row, so that what is still being written is waited for. A load under way at the same time costs one look at most.
func (f *follower) look() (load bool) {
	last := f.last()
	now := make(map[string]digest, len(last))
	for path := range last {
		now[path] = digestOf(f.read(path))
	}
	if maps.Equal(now, last) {
		f.before = nil
		return false
	}
	if f.before == nil || !maps.Equal(now, f.before) {
		f.before = now
		return false
	}
	f.before = nil
	return true
}

// follow looks at the files at every tick until stop. What becomes of a load is counted and logged as of any other.
func (p *Proxy) follow(tick <-chan time.Time, stop <-chan struct{}) {
	f := follower{read: p.opts.Read, last: p.loader.reads.last}
	for {
		select {
		case <-stop:
			return
		case <-tick:
			if f.look() {
				p.log.Info("configuration files have changed")
				_, _ = p.Reload()
			}
		}
	}
}

// startFollowing begins to follow if that was asked for.
func (p *Proxy) startFollowing() {
	if p.opts.Config != nil {
		p.beside.Go(func() { p.followSource(p.stop) })
	}
	if p.opts.Follow <= 0 {
		return
	}
	p.beside.Go(func() {
		t := time.NewTicker(p.opts.Follow)
		defer t.Stop()
		p.follow(t.C, p.stop)
	})
}
