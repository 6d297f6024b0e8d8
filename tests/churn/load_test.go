// The load: clients that go through both proxies, and judge every answer.

package churn

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// load is all clients, and what they have met.
type load struct {
	addrs   []string // of proxies
	clients int
	pace    time.Duration // between two requests of a client
	keys    []key
	begin   time.Time

	requests, hits, misses, failed atomic.Int64

	matter   *conditions // what is the matter
	failures failures

	mu    sync.Mutex
	wrong []string
}

// patience is how long an answer may take: much longer than any timeout of a proxy.
const patience = 30 * time.Second

// maxWrong is how many wrong answers are told.
const maxWrong = 20

func (l *load) now() clock { return time.Since(l.begin) }

func (l *load) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) < maxWrong {
		l.wrong = append(l.wrong, fmt.Sprintf("%.3fs: ", l.now().Seconds())+fmt.Sprintf(format, args...))
	}
}

// faults is how many wrong answers there were, up to maxWrong.
func (l *load) faults() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.wrong)
}

// run goes on until ctx ends.
func (l *load) run(ctx context.Context, seed uint64) {
	var all sync.WaitGroup
	for i := range l.clients {
		all.Go(func() {
			c := &client{l: l, r: rand.New(rand.NewPCG(seed, uint64(i)))}
			if err := c.run(ctx); err != nil {
				l.fault("client %d: %v", i, err)
			}
		})
	}
	all.Wait()
}

// client has a connection to each proxy, and one request under way.
type client struct {
	l     *load
	r     *rand.Rand
	conns []*bufio.ReadWriter
	last  int // the key that it deleted last; it looks there more than elsewhere
}

func (c *client) run(ctx context.Context) error {
	for _, addr := range c.l.addrs {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		defer conn.Close()
		c.conns = append(c.conns, bufio.NewReadWriter(bufio.NewReader(deadlines{conn}), bufio.NewWriter(conn)))
	}
	for ctx.Err() == nil {
		if err := c.turn(); err != nil {
			return err
		}
		if c.l.pace > 0 {
			time.Sleep(c.l.pace/2 + time.Duration(c.r.Int64N(int64(c.l.pace))))
		}
	}
	return nil
}

// deadlines gives each read its time.
type deadlines struct{ net.Conn }

func (d deadlines) Read(b []byte) (int, error) {
	_ = d.SetReadDeadline(time.Now().Add(patience))
	return d.Conn.Read(b)
}

// turn asks one thing of one proxy.
func (c *client) turn() error {
	i := c.r.IntN(len(c.l.keys))
	if c.r.IntN(4) == 0 {
		i = c.last
	}
	k, name := &c.l.keys[i], "churn:"+strconv.Itoa(i)
	rw := c.conns[c.r.IntN(len(c.conns))]
	c.l.requests.Add(1)
	start := c.l.now()
	switch n := c.r.IntN(100); {
	case n < 25:
		return c.store(rw, k, name, "set")
	case n < 32:
		return c.store(rw, k, name, "add")
	case n < 45:
		answer, err := ask(rw, "delete "+name+"\r\n")
		if err != nil {
			return err
		}
		if answer == "DELETED" || answer == "NOT_FOUND" {
			k.deleted(start, c.l.now())
			c.last = i
		} else {
			c.error(name, answer, start)
		}
		return nil
	case n < 75:
		return c.get(rw, k, name, "get "+name+"\r\n", start)
	}
	return c.get(rw, k, name, "mg "+name+" v\r\n", start)
}

func (c *client) store(rw *bufio.ReadWriter, k *key, name, command string) error {
	start := c.l.now()
	w := k.write(start)
	v := value(name, w.serial, c.r.IntN(300))
	answer, err := ask(rw, fmt.Sprintf("%s %s 0 0 %d\r\n%s\r\n", command, name, len(v), v))
	if err != nil {
		return err
	}
	switch {
	case answer == "STORED":
		k.done(w, c.l.now(), true)
	case answer == "NOT_STORED" && command == "add":
		k.refused(w)
	default:
		k.done(w, c.l.now(), false)
		c.error(name, answer, start)
	}
	return nil
}

// get reads by either protocol.
func (c *client) get(rw *bufio.ReadWriter, k *key, name, request string, start clock) error {
	answer, err := ask(rw, request)
	if err != nil {
		return err
	}
	f := strings.Fields(answer)
	switch {
	case answer == "END" || answer == "EN":
		c.l.misses.Add(1)
		return nil
	case len(f) == 4 && f[0] == "VALUE" && f[1] == name || len(f) == 2 && f[0] == "VA":
	default:
		c.error(name, answer, start)
		return nil
	}
	n, err := strconv.Atoi(f[len(f)-1])
	if err != nil {
		return fmt.Errorf("%q is answered with %q", request, answer)
	}
	body := make([]byte, n+2)
	if _, err = io.ReadFull(rw, body); err != nil {
		return err
	}
	if f[0] == "VALUE" {
		if end, err := line(rw); err != nil || end != "END" {
			return fmt.Errorf("%q ends with %q, %v", request, end, err)
		}
	}
	c.l.hits.Add(1)
	v := string(body[:n])
	if wrong := k.seen(serialOf(name, v), start, c.l.now()); wrong != "" {
		c.l.fault("%s is answered with %.60q: %s", strings.TrimSpace(request), v, wrong)
	}
	return nil
}

// error counts an error line. What is none is a wrong answer.
func (c *client) error(name, answer string, start clock) {
	if !strings.HasPrefix(answer, "SERVER_ERROR ") {
		c.l.fault("%s: an answer of %q", name, answer)
		return
	}
	c.l.failed.Add(1)
	c.l.failures.add(answer, c.l.matter.String(), c.l.now()-start)
}

func ask(rw *bufio.ReadWriter, request string) (answer string, err error) {
	if _, err = rw.WriteString(request); err == nil {
		err = rw.Flush()
	}
	if err != nil {
		return "", err
	}
	return line(rw)
}

func line(rw *bufio.ReadWriter) (string, error) {
	s, err := rw.ReadString('\n')
	return strings.TrimSuffix(s, "\r\n"), err
}
