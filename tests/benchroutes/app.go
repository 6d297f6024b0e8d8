// The application: clients that read through the cache, and the database behind it.

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// row is a key's row of the database.
type row struct {
	// fill is held for reading from a query of the row until its value is stored, and for writing by an update: the race between a fill and an
	// update of its row is the application's, and would be counted as the route's.
	fill    sync.RWMutex
	version atomic.Int64
	known   atomic.Int64 // the version from which on a delete has been confirmed
}

// database counts what it is asked.
type database struct {
	took   time.Duration
	asked  atomic.Int64
	recent atomic.Int64 // since tick
	peak   atomic.Int64 // the most of them between two ticks
	rows   []row
}

// tick ends an interval.
func (d *database) tick() {
	n := d.recent.Swap(0)
	if n > d.peak.Load() {
		d.peak.Store(n)
	}
}

// query takes its time and gives the row's version at its end.
func (d *database) query(r *row) int64 {
	d.asked.Add(1)
	d.recent.Add(1)
	time.Sleep(d.took)
	return r.version.Load()
}

// value is what the cache holds of a row: it names its key and version, and has some length.
func value(key string, version int64) string {
	return fmt.Sprintf("%s@%d:%s", key, version, strings.Repeat("x", 100))
}

// version reads it again, and is an error if there is a letter wrong.
func version(key, got string) (int64, error) {
	_, rest, _ := strings.Cut(got, "@")
	number, _, _ := strings.Cut(rest, ":")
	v, err := strconv.ParseInt(number, 10, 64)
	if err != nil || got != value(key, v) {
		return 0, fmt.Errorf("%w: %q for key %q", errWrong, got, key)
	}
	return v, nil
}

var (
	errWrong  = errors.New("wrong answer")
	errRefuse = errors.New("the cache answered an error") // SERVER_ERROR: the connection is as good as before
)

// conn is one client's connection; it is used by one goroutine.
type conn struct {
	c net.Conn
	r *bufio.Reader
}

func dial(addr string) (*conn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot reach the proxy: %w", err)
	}
	return &conn{c, bufio.NewReader(c)}, nil
}

// say sends text and gives the first line of the answer.
func (c *conn) say(text string) (string, error) {
	if err := c.c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c.c, text); err != nil {
		return "", fmt.Errorf("cannot ask the proxy: %w", err)
	}
	return c.line()
}

// line reads one.
func (c *conn) line() (string, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("cannot read an answer: %w", err)
	}
	if line = strings.TrimSuffix(line, "\r\n"); strings.HasPrefix(line, "SERVER_ERROR") {
		return "", fmt.Errorf("%w: %s", errRefuse, line)
	}
	return line, nil
}

// get gives a value, or "" for a miss.
func (c *conn) get(key string) (string, error) {
	line, err := c.say("get " + key + "\r\n")
	if err != nil || line == "END" {
		return "", err
	}
	var size int
	if _, err := fmt.Sscanf(line, "VALUE "+key+" 0 %d", &size); err != nil {
		return "", fmt.Errorf("%w: %q", errWrong, line)
	}
	text := make([]byte, size+len("\r\nEND\r\n"))
	if _, err := io.ReadFull(c.r, text); err != nil {
		return "", fmt.Errorf("cannot read a value: %w", err)
	}
	return string(text[:size]), nil
}

// set stores, and del deletes.
func (c *conn) set(key, value string, ttl int) error {
	return c.told(setting(key, value, ttl), "STORED")
}

func setting(key, value string, ttl int) string {
	return fmt.Sprintf("set %s 0 %d %d\r\n%s\r\n", key, ttl, len(value), value)
}

func (c *conn) del(key string) error {
	return c.told("delete "+key+"\r\n", "DELETED", "NOT_FOUND")
}

func (c *conn) told(text string, good ...string) error {
	line, err := c.say(text)
	if err != nil {
		return err
	}
	for _, g := range good {
		if line == g {
			return nil
		}
	}
	return fmt.Errorf("%w: %q", errWrong, line)
}

// app is the application in one turn.
type app struct {
	addr  string
	db    *database
	ttl   int
	keyOf func() int
	phase atomic.Int32
	tally []tally // by phase
}

func newApp(addr string, keys int, took time.Duration, ttl, phases int) *app {
	return &app{addr: addr, db: &database{took: took, rows: make([]row, keys)}, ttl: ttl, keyOf: func() int { return 0 }, tally: make([]tally, phases)}
}

func key(n int) string { return "row" + strconv.Itoa(n) }

// read is one read through the cache, due at that time.
func (a *app) read(c *conn, due time.Time) error {
	n := a.keyOf()
	r, k, t := &a.db.rows[n], key(n), &a.tally[a.phase.Load()]
	least := r.known.Load()
	got, err := c.get(k)
	t.reads.Add(1)
	t.got(&t.answered, time.Since(due))
	switch {
	case errors.Is(err, errRefuse):
		t.errors.Add(1)
		t.queries.Add(1)
		a.db.query(r)
	case err != nil:
		return err
	case got == "":
		t.misses.Add(1)
		t.queries.Add(1)
		r.fill.RLock()
		err := c.set(k, value(k, a.db.query(r)), a.ttl)
		r.fill.RUnlock()
		if err != nil && !errors.Is(err, errRefuse) {
			return err
		}
	default:
		v, err := version(k, got)
		if err != nil {
			return err
		}
		if v < least {
			t.stale.Add(1)
		}
	}
	t.got(&t.served, time.Since(due))
	return nil
}

// clients reads from conns connections at rate in all, until ctx ends.
func (a *app) clients(ctx context.Context, conns int, rate float64) error {
	list := make([]*conn, conns)
	for i := range list {
		c, err := dial(a.addr)
		if err != nil {
			return err
		}
		defer c.c.Close()
		list[i] = c
	}
	var all sync.WaitGroup
	errs := make(chan error, conns)
	every := time.Duration(float64(conns) / rate * float64(time.Second))
	began := time.Now()
	for i, c := range list {
		all.Go(func() {
			for due := began.Add(every * time.Duration(i) / time.Duration(conns)); ; due = due.Add(every) {
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Until(due)):
				}
				if err := a.read(c, due); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

// update changes a row and deletes it from the cache, again and again until the cache confirms it, or ctx ends.
func (a *app) update(ctx context.Context, c *conn, n int) error {
	r, t := &a.db.rows[n], &a.tally[a.phase.Load()]
	r.fill.Lock()
	v := r.version.Add(1)
	r.fill.Unlock()
	t.deletes.Add(1)
	for first := true; ; first = false {
		err := c.del(key(n))
		if err == nil {
			break
		} else if !errors.Is(err, errRefuse) {
			return err
		}
		if first {
			t.refused.Add(1)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(100 * time.Millisecond):
		}
	}
	for old := r.known.Load(); old < v && !r.known.CompareAndSwap(old, v); old = r.known.Load() {
	}
	return nil
}
