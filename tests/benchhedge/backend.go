// The backends: memcached-speaking servers that count what they are asked, and are slow as they are told. They are a process of their own: the
// generator's threads sleep in the kernel, and Go takes up to 10 ms to notice that they do.

package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// fault is how a backend is slow. The zero value is not.
type fault struct {
	share float64       // of gets whose answer comes later
	by    time.Duration // by so much
	each  time.Duration // what every get takes, one after the other: a backend that can do 1/each a second
}

// slowBackend is a server of version, set and get. An answer that comes later holds up what its connection was sent after it, as in every memcached.
type slowBackend struct {
	ln    net.Listener
	fault atomic.Pointer[fault]
	gets  atomic.Int64

	mu    sync.Mutex // guards items
	items map[string]string
	turn  sync.Mutex // held while a get takes fault.each
	open  sync.WaitGroup
}

func startBackend() (*slowBackend, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cannot start a backend: %w", err)
	}
	b := &slowBackend{ln: ln, items: map[string]string{}}
	b.fault.Store(&fault{})
	b.open.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			b.open.Go(func() { b.serve(c) })
		}
	})
	return b, nil
}

func (b *slowBackend) addr() string { return b.ln.Addr().String() }

func (b *slowBackend) serve(c net.Conn) {
	defer c.Close()
	r, w := bufio.NewReader(c), bufio.NewWriter(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if err := b.answer(strings.Fields(line), r, w); err != nil {
			return
		}
		if r.Buffered() == 0 {
			if w.Flush() != nil {
				return
			}
		}
	}
}

// answer serves one request.
func (b *slowBackend) answer(words []string, r *bufio.Reader, w *bufio.Writer) error {
	switch {
	case len(words) == 1 && words[0] == "version":
		_, err := w.WriteString("VERSION 1.6.0\r\n")
		return err
	case len(words) >= 5 && words[0] == "set":
		n, err := strconv.Atoi(words[4])
		if err != nil {
			return err
		}
		value := make([]byte, n+2)
		if _, err := io.ReadFull(r, value); err != nil {
			return err
		}
		b.mu.Lock()
		b.items[words[1]] = fmt.Sprintf("VALUE %s %s %d\r\n%s", words[1], words[2], n, value)
		b.mu.Unlock()
		_, err = w.WriteString("STORED\r\n")
		return err
	case len(words) == 2 && words[0] == "get":
		b.gets.Add(1)
		b.linger(w)
		b.mu.Lock()
		item := b.items[words[1]]
		b.mu.Unlock()
		_, err := w.WriteString(item + "END\r\n")
		return err
	}
	return b.control(words, w)
}

// control serves the two commands that no memcached has.
func (b *slowBackend) control(words []string, w *bufio.Writer) error {
	var f fault
	if len(words) == 1 && words[0] == "count" {
		_, err := fmt.Fprintf(w, "%d\r\n", b.gets.Load())
		return err
	}
	if _, err := fmt.Sscan(strings.Join(words, " "), new(string), &f.share, &f.by, &f.each); err != nil || words[0] != "fault" {
		_, err := w.WriteString("ERROR\r\n")
		return err
	}
	b.fault.Store(&f)
	_, err := w.WriteString("OK\r\n")
	return err
}

// linger is slow, if it is this get's turn to be. What has been answered before is sent first.
func (b *slowBackend) linger(w *bufio.Writer) {
	f := b.fault.Load()
	if f.each > 0 {
		b.turn.Lock()
		time.Sleep(f.each)
		b.turn.Unlock()
	}
	if f.share > 0 && rand.Float64() < f.share {
		_ = w.Flush() // an error comes again at the next
		time.Sleep(f.by)
	}
}

// serveBackends is this program's other part: n backends, until its input ends.
func serveBackends(n int) error {
	for range n {
		b, err := startBackend()
		if err != nil {
			return err
		}
		fmt.Println(b.addr())
	}
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// backends are those of that process.
type backends struct {
	p     *proc.Process
	input io.Closer
	addrs []string
	ctl   []*bufio.ReadWriter
	conns []net.Conn
}

func startBackends(n int) (*backends, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("cannot start the backends: %w", err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), serveEnv+"=1")
	b := &backends{}
	if b.input, err = cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("cannot start the backends: %w", err)
	}
	if b.p, err = proc.Start(cmd); err != nil {
		return nil, fmt.Errorf("cannot start the backends: %w", err)
	}
	for from := range n {
		addr := b.p.Stdout.Find(from, 10*time.Second, ":")
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.close()
			return nil, fmt.Errorf("cannot reach a backend: %w", err)
		}
		b.addrs, b.conns = append(b.addrs, addr), append(b.conns, c)
		b.ctl = append(b.ctl, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)))
	}
	return b, nil
}

func (b *backends) close() {
	for _, c := range b.conns {
		c.Close()
	}
	b.input.Close()
	b.p.Stop(5 * time.Second)
}

// ask sends backend i a line and gives its answer.
func (b *backends) ask(i int, line string) (string, error) {
	fmt.Fprintf(b.ctl[i], "%s\r\n", line)
	if err := b.ctl[i].Flush(); err != nil {
		return "", fmt.Errorf("cannot ask a backend %q: %w", line, err)
	}
	answer, err := b.ctl[i].ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("cannot ask a backend %q: %w", line, err)
	}
	return strings.TrimSpace(answer), nil
}

// slow has backend i be slow.
func (b *backends) slow(i int, f fault) error {
	answer, err := b.ask(i, fmt.Sprintf("fault %v %d %d", f.share, f.by, f.each))
	if err == nil && answer != "OK" {
		err = fmt.Errorf("cannot slow a backend: %q", answer)
	}
	return err
}

// asked is how many gets all of them had.
func (b *backends) asked() (sum int64, err error) {
	for i := range b.addrs {
		answer, err := b.ask(i, "count")
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(answer, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("cannot count a backend's gets: %w", err)
		}
		sum += n
	}
	return sum, nil
}
