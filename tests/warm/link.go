// Links: connections between a proxy and a leaf that can be cut, and led to where the leaf is now.

package warm

import (
	"io"
	"net"
	"sync"
)

// link forwards connections. While it is cut nothing passes and nothing is closed: what was sent stays on its way.
type link struct {
	ln   net.Listener
	done sync.WaitGroup

	mu     sync.Mutex
	to     string
	free   sync.Cond // not stopped, or closed; with mu
	stop   bool
	closed bool
	conns  map[net.Conn]bool
}

func newLink(to string) (*link, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{ln: ln, to: to, conns: map[net.Conn]bool{}}
	l.free.L = &l.mu
	l.done.Go(l.accept)
	return l, nil
}

func (l *link) addr() string { return l.ln.Addr().String() }

// lead has connections made from now on go elsewhere; those that are there are closed.
func (l *link) lead(to string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.to = to
	for c := range l.conns {
		_ = c.Close()
	}
}

func (l *link) cut(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop = cut
	l.free.Broadcast()
}

func (l *link) accept() {
	for {
		c, err := l.ln.Accept()
		if err != nil {
			return
		}
		l.done.Go(func() { l.serve(c) })
	}
}

func (l *link) serve(c net.Conn) {
	defer c.Close()
	if !l.pass() {
		return
	}
	l.mu.Lock()
	to := l.to
	l.mu.Unlock()
	s, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer s.Close()
	l.mu.Lock()
	if l.closed || l.to != to {
		l.mu.Unlock()
		return
	}
	l.conns[c], l.conns[s] = true, true
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { l.copy(c, s) })
	both.Go(func() { l.copy(s, c) })
	both.Wait()
	l.mu.Lock()
	delete(l.conns, c)
	delete(l.conns, s)
	l.mu.Unlock()
}

// pass waits while the link is cut; false: it is closed.
func (l *link) pass() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.stop && !l.closed {
		l.free.Wait()
	}
	return !l.closed
}

func (l *link) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !l.pass() {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				return
			}
			return
		}
	}
}

func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	l.free.Broadcast()
	for c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	_ = l.ln.Close()
	l.done.Wait()
}
