// What a process writes, line by line, for whoever waits for a line.

package proc

import (
	"bufio"
	"io"
	"strings"
	"sync"
	"time"
)

// Lines is what a process has written to one of its outputs. All methods may be called concurrently.
type Lines struct {
	mu   sync.Mutex
	all  []string
	more chan struct{} // closed and replaced at each line
	end  bool
}

func newLines() *Lines { return &Lines{more: make(chan struct{})} }

func (l *Lines) read(r io.Reader) {
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		l.mu.Lock()
		l.all = append(l.all, s.Text())
		close(l.more)
		l.more = make(chan struct{})
		l.mu.Unlock()
	}
	l.mu.Lock()
	l.end = true
	close(l.more)
	l.mu.Unlock()
}

// Text is everything so far.
func (l *Lines) Text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

// tailLines is how much of an output a message quotes.
const tailLines = 30

// Tail is the end of what was written, for messages.
func (l *Lines) Tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all[max(0, len(l.all)-tailLines):], "\n")
}

// Count is how many lines there are.
func (l *Lines) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

// Find waits for a line that has every part and gives it. Lines before from (see Count) are not looked at. "": it did not come
// within patience, or the process ended without it.
func (l *Lines) Find(from int, patience time.Duration, parts ...string) string {
	late := time.After(patience)
	for i := from; ; {
		l.mu.Lock()
		for ; i < len(l.all); i++ {
			if hasAll(l.all[i], parts) {
				defer l.mu.Unlock()
				return l.all[i]
			}
		}
		more, end := l.more, l.end
		l.mu.Unlock()
		if end {
			return ""
		}
		select {
		case <-more:
		case <-late:
			return ""
		}
	}
}

func hasAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}
