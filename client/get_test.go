package client

import (
	"context"
	"errors"
	"testing"
	"time"
)

type result struct {
	item Item
	err  error
}

// gets begins n Gets and returns when they wait for one flight.
func gets(ctx context.Context, c *Client, key string, n int) chan result {
	before := c.waiting(key)
	results := make(chan result, n)
	for range n {
		go func() {
			i, err := c.Get(ctx, key)
			results <- result{i, err}
		}()
	}
	await("all wait", func() bool { return c.waiting(key) == before+n })
	return results
}

// waiting is how many wait for a key.
func (c *Client) waiting(key string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[key]; f != nil {
		return f.waiting
	}
	return 0
}

func (a *actor) silence() {
	a.t.Helper()
	if len(a.asks) > 0 {
		a.t.Errorf("a request too many: %+v", <-a.asks)
	}
}

// TestSingleFlight: many callers, one request; what they get is equal and each one's own.
func TestSingleFlight(t *testing.T) {
	url := startNATS(t)
	a, c := newActor(t, url), connect(t, url, Options{Timeout: patience})
	const n = 50
	results := gets(bg, c, "k", n)
	other := gets(bg, c, "other", 1)
	for range 2 {
		m := a.sees()
		a.says(m, "value of "+m.Subject, "status:hit", "cas:5", "flags:3", "ttl:9", "stale:won")
	}
	var all []Item
	won := 0
	for range n {
		r := <-results
		if r.err != nil || string(r.item.Value) != "value of cache.k" || r.item.CAS != 5 || r.item.Flags != 3 || r.item.TTL != 9*time.Second || !r.item.Stale {
			t.Fatalf("%+v", r)
		}
		if r.item.Won {
			won++
		}
		all = append(all, r.item)
	}
	if won != 1 {
		t.Errorf("%d are to renew it", won)
	}
	for i := range all { // each changes its own
		if all[i].Value[0] != 'v' {
			t.Fatal("somebody else's bytes")
		}
		all[i].Value[0] = 'X'
	}
	if r := <-other; string(r.item.Value) != "value of cache.other" {
		t.Errorf("%+v", r)
	}
	a.silence()
	if len(c.flights) != 0 {
		t.Errorf("%d flights are left", len(c.flights))
	}
	// The next asks again.
	results = gets(bg, c, "k", 1)
	a.says(a.sees(), "", "status:miss")
	if r := <-results; !errors.Is(r.err, ErrMiss) {
		t.Errorf("%+v", r)
	}
}

// TestErrorsAreShared: a miss is one for all.
func TestErrorsAreShared(t *testing.T) {
	url := startNATS(t)
	a, c := newActor(t, url), connect(t, url, Options{Timeout: patience})
	results := gets(bg, c, "k", 10)
	a.says(a.sees(), "", "status:error", "Nats-Service-Error:SERVER_ERROR backend failure", "Nats-Service-Error-Code:503")
	for range 10 {
		if r := <-results; !errors.Is(r.err, ErrUnavailable) || r.item.Value != nil {
			t.Errorf("%+v", r)
		}
	}
	a.silence()
}

// TestLeaving: a caller whose context ends gets an error at once, also the one who came first; the others get the answer.
func TestLeaving(t *testing.T) {
	url := startNATS(t)
	a, c := newActor(t, url), connect(t, url, Options{Timeout: patience})
	ctx, cancel := context.WithCancel(bg)
	first := gets(ctx, c, "k", 1)
	m := a.sees()
	others := gets(bg, c, "k", 5)
	cancel()
	if r := <-first; !errors.Is(r.err, context.Canceled) || errors.Is(r.err, ErrUnavailable) {
		t.Errorf("%+v", r)
	}
	if n := c.waiting("k"); n != 5 {
		t.Errorf("%d wait", n)
	}
	a.says(m, "v", "status:hit")
	for range 5 {
		if r := <-others; r.err != nil || string(r.item.Value) != "v" {
			t.Errorf("%+v", r)
		}
	}
	a.silence()
}

// TestLastOneLeaves: then nobody waits for the answer any more, and the next caller asks anew.
func TestLastOneLeaves(t *testing.T) {
	url := startNATS(t)
	a, c := newActor(t, url), connect(t, url, Options{Timeout: patience})
	ctx, cancel := context.WithCancel(bg)
	all := gets(ctx, c, "k", 3)
	old := a.sees()
	cancel()
	for range 3 {
		if r := <-all; !errors.Is(r.err, context.Canceled) {
			t.Errorf("%+v", r)
		}
	}
	c.running.Wait() // the flight is over although nobody has answered
	again := gets(bg, c, "k", 1)
	a.says(old, "old", "status:hit")
	a.says(a.sees(), "new", "status:hit")
	if r := <-again; r.err != nil || string(r.item.Value) != "new" {
		t.Errorf("%+v", r)
	}
}

// TestGetAfterWrite: a Get that begins after a write does not join one that began before it and may have read the old value.
func TestGetAfterWrite(t *testing.T) {
	url := startNATS(t)
	a, c := newActor(t, url), connect(t, url, Options{Timeout: patience})
	writes := map[string]func() error{
		"stored":  func() error { return c.Set(bg, "k", Item{}) },
		"deleted": func() error { return c.Del(bg, "k") },
		"touched": func() error { return c.Touch(bg, "k", 0) },
		"exists":  func() error { _ = c.CAS(bg, "k", Item{}); return nil },
		"error":   func() error { _ = c.Set(bg, "k", Item{}); return nil },
	}
	for status, write := range writes {
		early := gets(bg, c, "k", 1)
		old := a.sees()
		written := make(chan error, 1)
		go func() { written <- write() }()
		a.says(a.sees(), "", "status:"+status)
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		late := gets(bg, c, "k", 2)
		a.says(a.sees(), "new", "status:hit")
		a.says(old, "old", "status:hit")
		for range 2 {
			if r := <-late; r.err != nil || string(r.item.Value) != "new" {
				t.Errorf("%s: %+v", status, r)
			}
		}
		if r := <-early; r.err != nil || string(r.item.Value) != "old" {
			t.Errorf("%s: %+v", status, r)
		}
		a.silence()
	}
}

// TestALostAnswer: a flight whose answer is lost ends although callers wait for it, and the next caller asks anew.
func TestALostAnswer(t *testing.T) {
	url := startNATS(t)
	a, c := newActor(t, url), connect(t, url, Options{Timeout: time.Millisecond})
	f, err := c.join("k")
	if err != nil {
		t.Fatal(err)
	}
	<-f.done
	if n := len(c.flights); n != 0 {
		t.Errorf("%d flights are left", n)
	}
	_, err = c.leave("k", f, true)
	is(t, "the lost one", err, ErrUnavailable)
	_, err = c.Get(bg, "k")
	is(t, "the next", err, ErrUnavailable)
	a.sees()
	a.sees()
}

// TestCloseWhileWaiting: callers are told, and nothing is left behind.
func TestCloseWhileWaiting(t *testing.T) {
	url := startNATS(t)
	a, c := newActor(t, url), connect(t, url, Options{Timeout: patience})
	results := gets(bg, c, "k", 3)
	a.sees()
	written := make(chan error, 1)
	go func() { written <- c.Set(bg, "k", Item{}) }()
	a.sees()
	c.Close()
	for range 3 {
		if r := <-results; !errors.Is(r.err, ErrUnavailable) {
			t.Errorf("%+v", r)
		}
	}
	is(t, "set", <-written, ErrUnavailable, "the client is closed")
}
