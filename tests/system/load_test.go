// Load that checks every answer. Each connection has keys of its own and keeps a window of requests in flight; because answers come
// in order, what a key may hold is known exactly when an answer is looked at. A request that was answered with an error
// may or may not have been executed: then a key may hold one of several values until an answer tells.

package system_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// absent is what a key holds that is not there. No value that is sent is empty.
const absent = ""

// op is what a request does to its key.
type op int

const (
	opSet op = iota
	opGet
	opDelete
	opAdd
	opCount // ma with autovivification: a counter
	opMulti // get of several keys
	numOps
)

// request is one that is in flight.
type request struct {
	op    op
	keys  []string // more than one for opMulti
	value string
	sent  time.Time
}

// load runs connections until it is stopped.
type load struct {
	addr         string
	conns, depth int
	keys         int // of each connection

	// refused decides on an error line: was this request allowed to fail? nil: none is.
	refused func(key string, sent time.Time) bool
	// emptied says from when on a key is known to have been gone with its leaf: only what was sent later can be found. nil: never.
	emptied func(key string) time.Time

	stop     chan struct{}
	done     sync.WaitGroup
	gate     sync.RWMutex // held by each connection while it has requests in flight; write-locked: paused
	pauses   atomic.Bool  // somebody wants the gate
	asked    atomic.Int64
	answered atomic.Int64
	errs     atomic.Int64 // that were allowed

	mu     sync.Mutex
	faults []string
}

func (l *load) fault(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.faults) < 20 {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

// start opens every connection and begins. It is stopped with the test at the latest.
func (l *load) start(t *testing.T) {
	t.Helper()
	l.stop = make(chan struct{})
	for i := range l.conns {
		c, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		lc := &loadConn{l: l, c: c, r: bufio.NewReader(c), w: bufio.NewWriter(c), holds: map[string][]string{}, fresh: map[string]time.Time{},
			rng: rand.New(rand.NewPCG(1, uint64(i)))}
		for k := range l.keys {
			lc.keys = append(lc.keys, loadKey(i, k))
		}
		l.done.Go(lc.run)
	}
	t.Cleanup(func() { l.end(t) })
}

func loadKey(conn, k int) string { return fmt.Sprintf("key:%d:%d", conn, k) }

// end stops and reports what was wrong. A second call does nothing.
func (l *load) end(t *testing.T) {
	t.Helper()
	select {
	case <-l.stop:
		return
	default:
	}
	close(l.stop)
	l.done.Wait()
	for _, f := range l.faults {
		t.Error(f)
	}
	t.Logf("%d answers checked, %d errors that were to be expected", l.answered.Load(), l.errs.Load())
}

// flow waits until n more answers have come.
func (l *load) flow(t *testing.T, n int64) {
	t.Helper()
	from := l.answered.Load()
	eventually(t, "more answers", func() bool { return l.answered.Load() >= from+n || l.faulty() })
}

func (l *load) faulty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.faults) > 0
}

// loadConn is one connection.
type loadConn struct {
	l      *load
	c      net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	rng    *rand.Rand
	keys   []string
	window []request
	serial int
	holds  map[string][]string  // what a key may hold; not there: it is absent
	fresh  map[string]time.Time // when its leaf was emptied last, as far as holds knows
}

func (c *loadConn) run() {
	defer c.c.Close()
	for !c.stopped() {
		c.l.gate.RLock()
		err := c.turn()
		for err == nil && !c.l.pauses.Load() && !c.stopped() {
			err = c.turn()
		}
		if err == nil { // what is in flight is answered before the gate is let go
			err = c.drain()
		}
		c.l.gate.RUnlock()
		if err != nil {
			c.l.fault("connection lost with %d requests in flight: %v", len(c.window), err)
			return
		}
	}
}

func (c *loadConn) stopped() bool {
	select {
	case <-c.l.stop:
		return true
	default:
		return false
	}
}

// turn fills the window and takes the answers that have come, one at least.
func (c *loadConn) turn() error {
	for len(c.window) < c.l.depth {
		c.send()
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	for first := true; len(c.window) > 0 && (first || c.r.Buffered() > 0); first = false {
		if err := c.take(); err != nil {
			return err
		}
	}
	return nil
}

func (c *loadConn) drain() error {
	for len(c.window) > 0 {
		if err := c.take(); err != nil {
			return err
		}
	}
	return nil
}

// send puts one request into the window. Values name their key and are never used twice.
func (c *loadConn) send() {
	c.serial++
	i := c.rng.IntN(len(c.keys))
	rq := request{op: op(c.rng.IntN(int(numOps))), keys: c.keys[i : i+1], sent: time.Now()}
	counter := i%4 == 0
	switch {
	case rq.op == opMulti && c.l.refused == nil:
		rq.keys = c.keys[i:min(i+5, len(c.keys))]
	case counter && rq.op != opDelete && rq.op != opGet:
		rq.op = opCount
	case rq.op == opCount || rq.op == opMulti:
		rq.op = opGet
	}
	key := rq.keys[0]
	rq.value = fmt.Sprintf("%s=%d%s", key, c.serial, strings.Repeat(".", c.rng.IntN(100)))
	switch rq.op {
	case opSet:
		fmt.Fprintf(c.w, "set %s 0 0 %d\r\n%s\r\n", key, len(rq.value), rq.value)
	case opAdd:
		fmt.Fprintf(c.w, "add %s 0 0 %d\r\n%s\r\n", key, len(rq.value), rq.value)
	case opGet, opMulti:
		fmt.Fprintf(c.w, "get %s\r\n", strings.Join(rq.keys, " "))
	case opDelete:
		fmt.Fprintf(c.w, "delete %s\r\n", key)
	case opCount:
		fmt.Fprintf(c.w, "ma %s N0 J1 v\r\n", key)
	}
	c.window = append(c.window, rq)
	c.l.asked.Add(1)
}

// take reads the next answer and judges it. An error is one of the connection; wrong answers are faults.
func (c *loadConn) take() error {
	rq := c.window[0]
	c.window = c.window[1:]
	_ = c.c.SetReadDeadline(time.Now().Add(patience))
	answer, values, err := c.answer(rq)
	if err != nil {
		return err
	}
	c.l.answered.Add(1)
	if c.l.emptied != nil {
		if at := c.l.emptied(rq.keys[0]); at.After(c.fresh[rq.keys[0]]) && !rq.sent.Before(at) {
			c.fresh[rq.keys[0]] = at
			delete(c.holds, rq.keys[0])
		}
	}
	if strings.HasPrefix(answer, "SERVER_ERROR ") {
		c.failed(rq, answer)
		return nil
	}
	for i, key := range rq.keys {
		if why := c.judge(rq, key, answer, values[i]); why != "" {
			c.l.fault("%s of %s, sent %s ago: %s", strings.Fields("set get delete add count multi")[rq.op], key, time.Since(rq.sent), why)
		}
	}
	return nil
}

// answer reads one. values are what keys hold, for a get; answer is the line otherwise.
func (c *loadConn) answer(rq request) (answer string, values []string, err error) {
	values = make([]string, len(rq.keys))
	line := func() (string, error) {
		s, err := c.r.ReadString('\n')
		return strings.TrimSuffix(s, "\r\n"), err
	}
	if answer, err = line(); err != nil {
		return
	}
	switch rq.op {
	case opGet, opMulti:
		failed := ""
		for last := -1; answer != "END"; {
			if len(rq.keys) > 1 && strings.HasPrefix(answer, "SERVER_ERROR ") { // one key's; the others' and END follow
				failed = answer
				if answer, err = line(); err != nil {
					return
				}
				continue
			}
			f := strings.Fields(answer)
			if len(f) == 0 || f[0] != "VALUE" {
				break
			}
			i := slices.Index(rq.keys, f[1])
			n, _ := strconv.Atoi(f[len(f)-1])
			if i <= last || len(f) != 4 {
				return answer, values, fmt.Errorf("asked for %v, was answered %q", rq.keys, answer)
			}
			last = i
			body := make([]byte, n+2)
			if _, err = io.ReadFull(c.r, body); err != nil {
				return
			}
			values[i] = string(body[:n])
			if answer, err = line(); err != nil {
				return
			}
		}
		if failed != "" {
			answer = failed
		}
	case opCount:
		if strings.HasPrefix(answer, "VA ") {
			answer, err = line()
		}
	}
	return
}

// before is what a key may have held before the answer that is being judged.
func (c *loadConn) before(key string) []string {
	if h, ok := c.holds[key]; ok {
		return h
	}
	return []string{absent}
}

// judge says what is wrong with an answer, and notes what the key holds since.
func (c *loadConn) judge(rq request, key, answer, value string) (why string) {
	was := c.before(key)
	there := slices.ContainsFunc(was, func(s string) bool { return s != absent })
	gone := slices.Contains(was, absent)
	now := absent
	ok := false
	switch rq.op {
	case opSet:
		ok, now = answer == "STORED", rq.value
	case opGet, opMulti:
		ok, now = answer == "END" && slices.Contains(was, value), value
	case opDelete:
		ok = answer == "DELETED" && there || answer == "NOT_FOUND" && gone
	case opAdd:
		switch {
		case answer == "STORED" && gone:
			ok, now = true, rq.value
		case answer == "NOT_STORED" && there:
			c.holds[key] = slices.DeleteFunc(slices.Clone(was), func(s string) bool { return s == absent })
			return ""
		}
	case opCount:
		for _, w := range was {
			ok = ok || answer == counted1(w)
		}
		now = answer
	}
	if !ok {
		why = fmt.Sprintf("answered %.80q %.80q, and it may hold %.200q", answer, value, was)
	}
	c.holds[key] = []string{now}
	return why
}

// counted1 is what a counter holds after one more.
func counted1(s string) string {
	if s == absent {
		return "1"
	}
	n, _ := strconv.Atoi(s)
	return strconv.Itoa(n + 1)
}

// failed notes an error line: the request was executed, or not.
func (c *loadConn) failed(rq request, answer string) {
	key := rq.keys[0]
	if c.l.refused == nil || !c.l.refused(key, rq.sent) {
		c.l.fault("%s failed: %q", key, answer)
		return
	}
	c.l.errs.Add(1)
	may := slices.Clone(c.before(key))
	for _, s := range c.before(key) {
		switch {
		case rq.op == opSet, rq.op == opAdd && s == absent:
			may = append(may, rq.value)
		case rq.op == opDelete:
			may = append(may, absent)
		case rq.op == opCount:
			may = append(may, counted1(s))
		}
	}
	slices.Sort(may)
	c.holds[key] = slices.Compact(may)
}

// forgetfulServer answers every get with a miss and every set with STORED: a cache that forgets.
func forgetfulServer(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			r := bufio.NewReader(c)
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				answer := "END\r\n"
				switch f := strings.Fields(line); f[0] {
				case "set", "add":
					_, _ = r.ReadString('\n')
					answer = "STORED\r\n"
				case "delete":
					answer = "DELETED\r\n"
				case "ma":
					answer = "VA 1\r\n1\r\n"
				}
				if _, err := io.WriteString(c, answer); err != nil && !errors.Is(err, net.ErrClosed) {
					return
				}
			}
		}()
	}
}

// TestTheLoadNotices: a server that forgets is found out.
func TestTheLoadNotices(t *testing.T) {
	ln := listen(t)
	go forgetfulServer(ln)
	l := &load{addr: ln.Addr().String(), conns: 2, depth: 4, keys: 8}
	l.start(t)
	eventually(t, "a fault", l.faulty)
	close(l.stop)
	l.done.Wait()
}

// TestTheLoadNoticesWhatCameBack: an item that outlives the emptying of its leaf, as one that was written again, is found out.
func TestTheLoadNoticesWhatCameBack(t *testing.T) {
	var at atomic.Int64
	l := &load{addr: startMemcached(t), conns: 2, depth: 4, keys: 8, emptied: func(string) time.Time {
		if n := at.Load(); n > 0 {
			return time.Unix(0, n)
		}
		return time.Time{}
	}}
	l.start(t)
	l.flow(t, 200)
	if l.faulty() {
		t.Fatal(l.faults)
	}
	at.Store(time.Now().UnixNano())
	eventually(t, "a fault", l.faulty)
	close(l.stop)
	l.done.Wait()
}

// TestNothingIsOnItsWayInAPause, or what a test does meanwhile could come before or after it.
func TestNothingIsOnItsWayInAPause(t *testing.T) {
	l := &load{addr: startMemcached(t), conns: 8, depth: 16, keys: 8}
	l.start(t)
	for range 200 {
		resume := l.pause()
		asked, answered := l.asked.Load(), l.answered.Load()
		resume()
		if asked != answered {
			t.Fatalf("asked %d, answered %d", asked, answered)
		}
	}
}
