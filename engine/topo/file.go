// File: a topology that somebody, or some program, writes.

package topo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// FileOptions are a File's.
type FileOptions struct {
	Poll time.Duration // how often the file is looked at; 0: 200 ms
	Log  *slog.Logger  // nil: nothing is logged
}

// File is a Source that reads
//
//	{"pools": {"users": [{"name": "leaf-1", "addr": "nats://10.0.0.1:4301/leaf-1", "zone": "a"}, ...]}}
//
// and reads it again when it has changed. A file with a mistake changes nothing, nor does one that has lost a pool that is watched. Its
// memberships have no epoch: proxies read at different times, and no leaf is fenced. Members that are draining own no keys.
type File struct {
	path string
	o    FileOptions
	stop chan struct{}
	done sync.WaitGroup

	reading sync.Mutex // one reading at a time, and telling of it; guards seen and text
	seen    os.FileInfo
	text    []byte

	mu     sync.Mutex // guards what is below
	begun  bool
	closed bool
	pools  map[string][]Member
	feeds  map[string]*feed
	status Status
}

var _ Source = (*File)(nil)

// NewFile gives the source of a file. It is first looked at when somebody watches a pool.
func NewFile(path string, o FileOptions) *File {
	if o.Poll <= 0 {
		o.Poll = 200 * time.Millisecond
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &File{path: path, o: o, stop: make(chan struct{}), feeds: map[string]*feed{}, status: Status{Source: "file " + path}}
}

// Watch implements Source.
func (f *File) Watch(pool string, tell func(Snapshot)) (stop func()) {
	f.mu.Lock()
	fd := f.feeds[pool]
	if fd == nil {
		fd = &feed{}
		f.feeds[pool] = fd
	}
	begin := !f.begun && !f.closed
	f.begun = true
	if begin {
		f.done.Go(f.poll)
	}
	f.mu.Unlock()
	f.reading.Lock()
	if f.read() { // nobody else reads it again
		f.handAllLocked()
	} else {
		f.handLocked(pool)
	}
	f.reading.Unlock()
	return fd.watch(tell)
}

// poll looks at the file until Close.
func (f *File) poll() {
	t := time.NewTicker(f.o.Poll)
	defer t.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-t.C:
			f.Reread()
		}
	}
}

// Reread looks at the file now: whoever watches is told before it returns.
func (f *File) Reread() {
	f.reading.Lock()
	defer f.reading.Unlock()
	if f.read() {
		f.handAllLocked()
	}
}

// handAllLocked is handLocked for all pools.
func (f *File) handAllLocked() {
	f.mu.Lock()
	names := slices.Sorted(maps.Keys(f.feeds))
	f.mu.Unlock()
	for _, name := range names {
		f.handLocked(name)
	}
}

// handLocked tells who watches a pool of it, if it has changed. Under reading, so that no older news comes last.
func (f *File) handLocked(pool string) {
	f.mu.Lock()
	ms, ok := f.pools[pool]
	fd := f.feeds[pool]
	f.mu.Unlock()
	if ok && fd.tell(Snapshot{Pool: pool, Members: ms, Since: time.Now()}) {
		f.mu.Lock()
		f.status.Changes++
		f.mu.Unlock()
	}
}

// read reads the file if it is another one than at the last look. It reports whether it was, and was taken. It wants reading locked.
func (f *File) read() (taken bool) {
	info, err := os.Stat(f.path)
	if err == nil && f.seen != nil && os.SameFile(info, f.seen) && info.ModTime().Equal(f.seen.ModTime()) && info.Size() == f.seen.Size() {
		return false
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(f.path)
	}
	if err != nil {
		f.seen = nil
		f.failed(err, false)
		return false
	}
	f.seen = info
	if f.text != nil && bytes.Equal(text, f.text) {
		f.succeeded(nil)
		return false
	}
	pools, err := ParseFile(text, f.path)
	if err == nil {
		err = f.lost(pools)
	}
	if err != nil {
		f.text = nil
		f.failed(err, true)
		return false
	}
	f.text = text
	f.succeeded(pools)
	return true
}

// lost is an error if pools lack one that is watched and was known.
func (f *File) lost(pools map[string][]Member) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(f.feeds)) {
		if _, ok := pools[name]; !ok && f.pools[name] != nil {
			return fmt.Errorf("%s: pool %q is gone, and routes use it; want it with no members, [], if that is meant", f.path, name)
		}
	}
	return nil
}

// succeeded notes that the file is well, and what it says if that is new.
func (f *File) succeeded(pools map[string][]Member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status.LastError != "" {
		f.o.Log.Info("topology file can be read again", "file", f.path)
	}
	f.status.Connected, f.status.LastError, f.status.LastNews = true, "", time.Now()
	if pools != nil {
		f.pools = pools
	}
}

// failed notes that it is not. It is said once.
func (f *File) failed(err error, refused bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Connected = false
	if refused {
		f.status.Refused++
	}
	if f.status.LastError != err.Error() {
		f.status.LastError = err.Error()
		f.o.Log.Error("topology file is not taken: what it said before serves on", "err", err)
	}
}

// Refresh implements Source.
func (f *File) Refresh(_ context.Context, pool string) (Snapshot, error) {
	f.Reread()
	f.mu.Lock()
	ms, ok := f.pools[pool]
	why := f.status.LastError
	f.mu.Unlock()
	switch {
	case ok:
		return Snapshot{Pool: pool, Members: ms}, nil
	case why != "":
		return Snapshot{}, errors.New(why)
	}
	return Snapshot{}, ErrUnknownPool
}

// Applied implements Source.
func (f *File) Applied(string, uint64) {}

// Settled implements Source: nobody knows.
func (f *File) Settled(string, uint64) bool { return false }

// Status implements Source.
func (f *File) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

// Close implements Source.
func (f *File) Close() error {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.stop)
	}
	f.mu.Unlock()
	f.done.Wait()
	return nil
}
