// A watcher: its queue, and the loop that empties it into a connection.

package watch

import (
	"io"
	"strconv"
)

// Watcher is one client that watches.
type Watcher struct {
	hub     *Hub
	streams Stream
	wake    chan struct{} // holds one when the queue is not empty

	queue   []byte // guarded by hub.mu, as is
	skipped uint64 // lines that found the queue full since the last that did not
}

// add queues a line, or counts it as skipped. The hub is locked.
func (w *Watcher) add(line []byte) {
	if len(w.queue)+len(line) > w.hub.o.Buffer {
		w.skipped++
		w.hub.stats.Skipped++
		return
	}
	w.queue = append(w.queue, line...)
	w.hub.stats.Sent++
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take gives what is queued, in exchange for an empty buffer. A gap is told where it was: behind what had been queued before.
func (w *Watcher) take(empty []byte) []byte {
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	lines := w.queue
	w.queue = empty[:0]
	if w.skipped > 0 {
		w.queue = append(w.queue, "skipped="...)
		w.queue = strconv.AppendUint(w.queue, w.skipped, 10)
		w.queue = append(w.queue, '\n')
		w.skipped = 0
	}
	return lines
}

// Run writes the watcher's lines to out until gone is closed or a write fails, and ends the watcher. One goroutine calls it,
// once. While a write waits for its reader, lines are queued and then skipped: nobody else waits.
func (w *Watcher) Run(out io.Writer, gone <-chan struct{}) {
	defer w.Close()
	var lines []byte
	for {
		if lines = w.take(lines); len(lines) > 0 {
			if _, err := out.Write(lines); err != nil {
				return
			}
			continue
		}
		select {
		case <-w.wake:
		case <-gone:
			return
		}
	}
}

// Close ends a watcher whose Run was never called. Calling it again does nothing.
func (w *Watcher) Close() { w.hub.remove(w) }
