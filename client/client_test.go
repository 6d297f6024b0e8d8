package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// is wants an error of a kind, and words in it.
func is(t *testing.T, what string, err, want error, words ...string) {
	t.Helper()
	if !errors.Is(err, want) || (want == nil) != (err == nil) {
		t.Errorf("%s: %v, want %v", what, err, want)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %v, want %q in it", what, err, w)
		}
	}
}

// TestRoundTrips: every operation with real leaves behind a real proxy.
func TestRoundTrips(t *testing.T) {
	url := startNATS(t)
	startProxy(t, url, 0)
	c := connect(t, url, Options{})
	for _, key := range []string{"plain", "/foo/bar", "a b\r\n\x00", "*", ">", "ä", strings.Repeat("k", 250)} {
		_, err := c.Get(bg, key)
		is(t, "get of nothing", err, ErrMiss)
		is(t, "replace of nothing", c.Replace(bg, key, Item{}), ErrNotStored)
		is(t, "cas of nothing", c.CAS(bg, key, Item{CAS: 1}), ErrMiss)
		is(t, "touch of nothing", c.Touch(bg, key, time.Second), ErrMiss)
		is(t, "del of nothing", c.Del(bg, key), ErrMiss)
		_, err = c.Incr(bg, key, 1)
		is(t, "incr of nothing", err, ErrMiss)

		is(t, "add", c.Add(bg, key, Item{Value: []byte("v"), Flags: 7, TTL: 999*time.Second + 1}), nil)
		is(t, "add again", c.Add(bg, key, Item{}), ErrNotStored)
		i, err := c.Get(bg, key)
		if err != nil || string(i.Value) != "v" || i.Flags != 7 || i.TTL < 900*time.Second || i.TTL > 1000*time.Second || i.CAS == 0 || i.Stale {
			t.Errorf("%q: %+v, %v", key, i, err)
		}
		i.Value, i.TTL = []byte("w"), 0
		is(t, "cas", c.CAS(bg, key, i), nil)
		is(t, "cas again", c.CAS(bg, key, i), ErrExists)
		is(t, "del of another", c.DelCAS(bg, key, i.CAS), ErrExists)
		is(t, "replace", c.Replace(bg, key, Item{Value: []byte("")}), nil)
		if i, err = c.Get(bg, key); err != nil || len(i.Value) != 0 || i.Flags != 0 || i.TTL != 0 {
			t.Errorf("%q: %+v, %v", key, i, err)
		}
		is(t, "touch", c.Touch(bg, key, time.Hour), nil)
		if i, err = c.GetAndTouch(bg, key, 2*time.Hour); err != nil || i.TTL != 2*time.Hour {
			t.Errorf("%q: %+v, %v", key, i, err)
		}
		if i, err = c.GetAndTouch(bg, key, 0); err != nil || i.TTL != 0 {
			t.Errorf("%q: %+v, %v", key, i, err)
		}
		is(t, "del", c.DelCAS(bg, key, i.CAS), nil)

		for _, d := range []struct {
			want uint64
			f    func() (uint64, error)
		}{
			{40, func() (uint64, error) { return c.IncrFrom(bg, key, 1, 40, time.Hour) }},
			{42, func() (uint64, error) { return c.Incr(bg, key, 2) }},
			{42, func() (uint64, error) { return c.Incr(bg, key, 0) }},
			{32, func() (uint64, error) { return c.DecrFrom(bg, key, 10, 5, 0) }},
			{0, func() (uint64, error) { return c.Decr(bg, key, 100) }},
		} {
			if n, err := d.f(); n != d.want || err != nil {
				t.Errorf("%q: %d, %v, want %d", key, n, err, d.want)
			}
		}
		is(t, "set", c.Set(bg, key, Item{Value: []byte("no number")}), nil)
		_, err = c.Incr(bg, key, 1)
		is(t, "incr of a word", err, ErrBadRequest, "cannot incr ", "non-numeric value")
		is(t, "del", c.Del(bg, key), nil)
	}
}

// TestErrors: each is of one kind, and says what was attempted.
func TestErrors(t *testing.T) {
	url := startNATS(t, func(o *natsserver.Options) { o.MaxPayload = 64 << 10 })
	startProxy(t, url, 10<<10)
	c := connect(t, url, Options{})
	kinds := []error{ErrMiss, ErrNotStored, ErrExists, ErrTooLarge, ErrBusy, ErrUnavailable, ErrBadRequest, ErrServer, context.Canceled, context.DeadlineExceeded}
	f := func(what string, err, want error, words ...string) {
		t.Helper()
		is(t, what, err, want, words...)
		for _, k := range kinds {
			if k != want && errors.Is(err, k) {
				t.Errorf("%s: %v is also %v", what, err, k)
			}
		}
	}
	get := func(ctx context.Context, c *Client, key string) error { _, err := c.Get(ctx, key); return err }
	f("item too large", c.Set(bg, "k", Item{Value: make([]byte, 20<<10)}), ErrTooLarge, `cannot set "k": SERVER_ERROR object too large for cache`)
	f("message too large", c.Set(bg, "k", Item{Value: make([]byte, 80<<10)}), ErrTooLarge, `cannot set "k": too large: NATS's max_payload is 65536`)
	f("dead backend", get(bg, c, "dead"), ErrUnavailable, `cannot get "dead": SERVER_ERROR backend failure`)
	f("broken route", get(bg, c, "broken"), ErrServer, "lua failure")
	f("busy", get(bg, c, "busy"), ErrBusy, "active request limit reached")
	f("no key", get(bg, c, ""), ErrBadRequest, "the key is empty")
	f("long key", c.Set(bg, strings.Repeat("k", 251), Item{}), ErrBadRequest, `cannot set "kkk`, `..."`, "longer than 250 bytes")
	f("long binary key", c.Del(bg, strings.Repeat(" ", 187)), ErrBadRequest, "in base64")
	f("negative TTL", c.Set(bg, "k", Item{TTL: -1}), ErrBadRequest, "TTL -1ns: want none below 0")
	f("long TTL", c.Touch(bg, "k", 100*365*24*time.Hour), ErrBadRequest, "is too long")
	f("late TTL", c.Touch(bg, "k", 50*365*24*time.Hour), ErrBadRequest, "memcached's dates end in 2038")
	f("ended", get(ended(), c, "k"), context.Canceled, `cannot get "k": context canceled`)
	f("ended", c.Set(ended(), "k", Item{}), context.Canceled, `cannot set "k": context canceled`)
	var ae *AnswerError
	if err := get(bg, c, "dead"); !errors.As(err, &ae) || ae.Code != 503 || ae.Text != "SERVER_ERROR backend failure" {
		t.Errorf("%+v", ae)
	}

	other := connect(t, url, Options{Prefix: "nobody.here"})
	f("nobody serves", get(bg, other, "k"), ErrUnavailable, `no proxy serves "nobody.here.>"`)

	other.Close()
	other.Close() // again does nothing
	f("get after Close", get(bg, other, "k"), ErrUnavailable, "the client is closed")
	f("set after Close", other.Set(bg, "k", Item{}), ErrUnavailable, "the client is closed")
}

// TestDeadlines: the caller's, and the client's own.
func TestDeadlines(t *testing.T) {
	url := startNATS(t)
	newActor(t, url) // who says nothing
	c := connect(t, url, Options{Timeout: time.Millisecond})
	_, err := c.Get(bg, "k")
	is(t, "get", err, ErrUnavailable, `cannot get "k": unavailable: no answer within 1ms`)
	is(t, "set", c.Set(bg, "k", Item{}), ErrUnavailable, `cannot set "k": unavailable: no answer within 1ms`)
	patient := connect(t, url, Options{})
	ctx, cancel := context.WithTimeout(bg, time.Millisecond)
	defer cancel()
	_, err = patient.Get(ctx, "k")
	is(t, "get", err, context.DeadlineExceeded)
	is(t, "set", patient.Set(ctx, "k", Item{}), context.DeadlineExceeded)
	if errors.Is(err, ErrUnavailable) {
		t.Errorf("%v blames the proxy", err)
	}
}

// TestDisconnected: while NATS is away operations fail at once, and none of them happens later.
func TestDisconnected(t *testing.T) {
	o := &natsserver.Options{Host: "127.0.0.1", Port: natsserver.RANDOM_PORT, NoSigs: true, NoLog: true}
	s, err := natsserver.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		t.Fatal("NATS is not ready")
	}
	down := make(chan struct{})
	c := connect(t, "nats://"+s.Addr().String(), Options{}, nats.ReconnectWait(time.Millisecond), nats.DisconnectErrHandler(func(*nats.Conn, error) { close(down) }))
	s.Shutdown()
	s.WaitForShutdown()
	<-down
	is(t, "set", c.Set(bg, "k", Item{Value: []byte("v")}), ErrUnavailable)
	_, err = c.Get(bg, "k")
	is(t, "get", err, ErrUnavailable)
}

func TestOptions(t *testing.T) {
	f := func(o Options, want string) {
		t.Helper()
		if _, err := New(nil, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
		if _, err := Connect("nats://127.0.0.1:1", o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	f(Options{Prefix: "a.>"}, `cannot make a client: prefix "a.>" has a wildcard`)
	f(Options{Timeout: -1}, "cannot make a client: timeout -1ns")
	if _, err := Connect("nats://127.0.0.1:1", Options{}); err == nil || !strings.Contains(err.Error(), "cannot connect to NATS: ") {
		t.Errorf("%v", err)
	}
}

// TestSomebodyElsesConnection: New leaves it open, and a handler that the caller has set is kept by Connect.
func TestSomebodyElsesConnection(t *testing.T) {
	url := startNATS(t)
	closed := make(chan struct{})
	nc, err := nats.Connect(url, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(nc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Get(bg, "k")
	is(t, "get", err, ErrUnavailable, "no proxy serves")
	c.Close()
	if !nc.IsConnected() {
		t.Error("Close closed a connection that is not its own")
	}
	nc.Close()
	<-closed
	told := make(chan struct{})
	connect(t, url, Options{}, nats.ClosedHandler(func(*nats.Conn) { close(told) })).Close()
	<-told
}

// TestStrangeAnswers: of who is no proxy.
func TestStrangeAnswers(t *testing.T) {
	url := startNATS(t)
	a := newActor(t, url)
	c := connect(t, url, Options{})
	f := func(want error, words string, op func() error, payload string, headers ...string) {
		t.Helper()
		err := make(chan error, 1)
		go func() { err <- op() }()
		a.says(a.sees(), payload, headers...)
		is(t, fmt.Sprint(headers), <-err, want, words)
	}
	get := func() error { _, err := c.Get(bg, "k"); return err }
	incr := func() error { _, err := c.Incr(bg, "k", 1); return err }
	f(ErrServer, `status "", want "hit": is it a proxy`, get, "hello")
	f(ErrServer, `status "stored", want "hit"`, get, "", "status:stored")
	f(ErrServer, `header "cas" of the answer`, get, "v", "status:hit", "cas:x")
	f(ErrServer, "the answer is no number", incr, "x", "status:stored")
	f(ErrServer, "oh", get, "", "status:error", "Nats-Service-Error:oh", "Nats-Service-Error-Code:what")
	f(ErrServer, "oh", get, "", "status:error", "Nats-Service-Error:oh", "Nats-Service-Error-Code:599")
}
