// Package faultproxy stands between two parts that speak TCP and makes their network bad: cut off, silent, slow. Tests put it before etcd, a leaf or
// a memcached server. A Proxy's methods may be called concurrently.
package faultproxy

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"time"
)

// Proxy passes connections on to a target, as long as it is let.
type Proxy struct {
	ln     net.Listener
	target string
	wg     sync.WaitGroup

	mu     sync.Mutex
	cut    bool
	frozen chan struct{} // not nil: nothing passes until it is closed
	whose  []byte        // frozen are the connections alone whose first bytes hold it; nil: all
	delay  time.Duration
	conns  map[net.Conn]struct{}
	closed bool
}

// link is one connection through a Proxy.
type link struct {
	first []byte // what it began with, as far as it came in one piece; guarded by Proxy.mu
}

// Start listens on a port of 127.0.0.1 that the kernel chooses. The Proxy is to be closed.
func Start(target string) (*Proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cannot listen before %q: %w", target, err)
	}
	p := &Proxy{ln: ln, target: target, conns: map[net.Conn]struct{}{}}
	p.wg.Go(p.accept)
	return p, nil
}

// Addr is where to connect.
func (p *Proxy) Addr() string { return p.ln.Addr().String() }

// Cut closes every connection, and each new one at once, until Heal.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	for c := range p.conns {
		_ = c.Close()
	}
}

// Freeze lets connections be, and new ones be made, but no byte pass, until Heal: a partition as it looks to those who are in it.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen == nil {
		p.frozen = make(chan struct{})
	}
}

// FreezeFrom is Freeze for the connections that began with bytes which hold whose: where many come to one address, and the first thing that each says
// is who it is, this is a partition between one of them and the target.
func (p *Proxy) FreezeFrom(whose string) {
	p.Freeze()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.whose = []byte(whose)
}

// Delay has every piece wait for d before it goes on, in each direction.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Heal ends Cut, Freeze and Delay. What was held back goes on its way.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.delay = false, 0
	if p.frozen != nil {
		close(p.frozen)
		p.frozen, p.whose = nil, nil
	}
}

// Close ends every connection and waits until all is over.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.Heal()
	err := p.ln.Close()
	p.wg.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *Proxy) serve(c net.Conn) {
	defer c.Close()
	if !p.keep(c) {
		return
	}
	defer p.forget(c)
	b, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer b.Close()
	if !p.keep(b) {
		return
	}
	defer p.forget(b)
	var both sync.WaitGroup
	l := new(link)
	both.Go(func() { p.copy(c, b, l, false) })
	both.Go(func() { p.copy(b, c, l, true) })
	both.Wait()
}

// keep notes a connection; false: it is not to be.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cut || p.closed {
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// copy passes on what comes from one to the other. When either ends both do.
func (p *Proxy) copy(to, from net.Conn, l *link, forth bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && forth {
			p.note(l, buf[:n])
		}
		if n > 0 && p.pass(l) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// note keeps what a connection begins with.
func (p *Proxy) note(l *link, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.first == nil {
		l.first = bytes.Clone(b)
	}
}

// pass waits until a piece may go on; false: it never may.
func (p *Proxy) pass(l *link) bool {
	p.mu.Lock()
	frozen, delay := p.frozen, p.delay
	if p.whose != nil && !bytes.Contains(l.first, p.whose) {
		frozen = nil
	}
	p.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
	if delay > 0 {
		time.Sleep(delay)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.cut && !p.closed
}
