// Package watch hands lines of what happens in this process to clients that asked for them: memcached's watch command.
//
// Who has something to tell (leaf/command, leaf/store's owner, engine) asks Hub.Wants first, which is one atomic load and
// false when nobody watches, and then writes a line with Hub.Write. engine subscribes a client that said watch and lets
// Watcher.Run write its lines to the connection.
//
// A Hub may be used by any number of goroutines at once; a nil Hub is one that nobody watches. Write copies the line and never
// waits: each watcher has a queue of so many bytes, and what does not fit is counted and told as skipped=N in its place.
package watch

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Stream is a set of streams.
type Stream uint32

// The streams, in the order in which a word is compared with their names.
const (
	RawCmds     Stream = 1 << iota // nothing tells of these any more
	Evictions                      // items that go for want of memory
	Fetchers                       // items looked for
	Mutations                      // items stored, or not
	SysEvents                      // memcached's threads; there are none here
	ConnEvents                     // clients that come and go
	ProxyReqs                      // requests that scripts log
	ProxyEvents                    // reloads, scripts' errors, backends that fail
	ProxyUser                      // what scripts have to say
	Deletions                      // items deleted
)

// names are the words of the watch command, by bit.
var names = [...]string{"rawcmds", "evictions", "fetchers", "mutations", "sysevents", "connevents", "proxyreqs", "proxyevents", "proxyuser", "deletions"}

// Named is the stream that a word of the watch command means: the first whose name begins with it, as in memcached. 0: none.
func Named(word []byte) Stream {
	for i, name := range names {
		if len(word) > 0 && len(word) <= len(name) && name[:len(word)] == string(word) {
			return 1 << i
		}
	}
	return 0
}

// ErrTooMany: there are as many watchers as may be.
var ErrTooMany = errors.New("cannot watch: too many watchers")

// Options of a Hub. The zero value is usable.
type Options struct {
	Buffer int              // bytes of lines that wait for one watcher; 0: 256 KiB
	Most   int              // watchers at one time; 0: 20
	Now    func() time.Time // clock; nil: time.Now
}

// Hub knows the watchers and hands lines to them.
type Hub struct {
	o      Options
	wanted atomic.Uint32 // the streams that any watcher wants

	mu       sync.Mutex // guards what follows, and every watcher's queue
	number   uint64     // of the last line
	watchers []*Watcher
	line     []byte
	stats    Stats
}

// New makes a Hub.
func New(o Options) *Hub {
	if o.Buffer <= 0 {
		o.Buffer = 256 << 10
	}
	if o.Most <= 0 {
		o.Most = 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Hub{o: o}
}

// Wants says whether anybody watches one of these streams. It is cheap enough for every request.
func (h *Hub) Wants(s Stream) bool { return h != nil && h.wanted.Load()&uint32(s) != 0 }

// Write tells everybody who watches s, which is one stream: text is a line without its end, "type=... key=value ...". Time and
// number are put before it. A line end inside would let text forge lines; what follows it is dropped.
func (h *Hub) Write(s Stream, text []byte) {
	if !h.Wants(s) {
		return
	}
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	now := h.o.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.number++
	h.line = appendHead(h.line[:0], now, h.number)
	h.line = append(append(h.line, text...), '\n')
	for _, w := range h.watchers {
		if w.streams&s != 0 {
			w.add(h.line)
		}
	}
}

// appendHead appends what every line begins with. The fraction has six digits, so that ts is a number; memcached drops the
// zeros before it.
func appendHead(dst []byte, now time.Time, number uint64) []byte {
	dst = strconv.AppendInt(append(dst, "ts="...), now.Unix(), 10)
	dst = append(dst, '.')
	us := now.Nanosecond() / 1000
	for at := 100_000; at > 0; at /= 10 {
		dst = append(dst, byte('0'+us/at%10))
	}
	dst = strconv.AppendUint(append(dst, " gid="...), number, 10)
	return append(dst, ' ')
}

// Subscribe makes a watcher of these streams, which sees every line from now on. Its Run, or Close, ends it.
func (h *Hub) Subscribe(s Stream) (*Watcher, error) {
	w := &Watcher{hub: h, streams: s, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.watchers) >= h.o.Most {
		return nil, ErrTooMany
	}
	h.watchers = append(h.watchers, w)
	h.want()
	return w, nil
}

// want sums up what is wanted. The caller holds mu.
func (h *Hub) want() {
	var all Stream
	for _, w := range h.watchers {
		all |= w.streams
	}
	h.wanted.Store(uint32(all))
}

// Stats are a hub's figures.
type Stats struct {
	Watchers int
	Written  uint64 // lines told of
	Sent     uint64 // lines that were queued for watchers
	Skipped  uint64 // lines that found a queue full
}

// Stats gives the figures of now. A nil Hub has none.
func (h *Hub) Stats() Stats {
	if h == nil {
		return Stats{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	st := h.stats
	st.Watchers, st.Written = len(h.watchers), h.number
	return st
}

// remove ends a watcher.
func (h *Hub) remove(w *Watcher) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers = slices.DeleteFunc(h.watchers, func(v *Watcher) bool { return v == w })
	h.want()
}

// AppendEncoded appends b as lines show keys and other bytes of strangers: all but letters, digits and -._~ as %XX.
func AppendEncoded(dst, b []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range b {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			dst = append(dst, c)
		default:
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}
