// Connections that become streams, why connections end, and who is there.

package server

import (
	"context"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// tower is a desk at which version makes the connection a stream of what run writes.
type tower struct {
	*desk
	run func(w io.Writer, gone <-chan struct{})
}

func (t tower) Open(i ConnInfo) Session { return &towerSession{t.desk.Open(i), t.run} }

type towerSession struct {
	Session
	run func(w io.Writer, gone <-chan struct{})
}

func (t *towerSession) Serve(b *Batch) error {
	if b.Reqs[0].Cmd == mc.CmdVersion {
		b.Out = append(b.Out, "OK\r\n"...)
		return &Stream{Run: t.run}
	}
	return t.Session.Serve(b)
}

// reasons collects why connections ended.
type reasons struct {
	mu  sync.Mutex
	all []string
}

func (r *reasons) closed(_ ConnInfo, why Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, string(why))
}

func (r *reasons) are(t *testing.T, want string) {
	t.Helper()
	until(t, "connections to end: "+want, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		slices.Sort(r.all)
		return strings.Join(r.all, " ") == want
	})
}

func TestStreamUntilTheClientGoes(t *testing.T) {
	d, ended := newDesk(), make(chan struct{}, 1)
	var why reasons
	s := serve(t, Options{Handler: tower{d, func(w io.Writer, gone <-chan struct{}) {
		io.WriteString(w, "line\n")
		<-gone
		ended <- struct{}{}
	}}, IdleTimeout: time.Second, Closed: why.closed})
	p := dial(t, s)
	p.says("get a\r\n")
	p.sees(value("a"))
	p.says("version\r\nget never\r\n")
	p.sees("OK\r\nline\n")
	p.says("get never either\r\n")
	until(t, "the idle time to pass", func() bool { return s.tick.Load() > 2 })
	c := s.Conns()
	if len(c) != 2 || c[0].FD >= c[1].FD {
		t.Fatalf("not in the order of their descriptors: %+v", c)
	}
	if c[0].Streaming { // an earlier test's descriptor was free again: the client's is the lower one
		slices.Reverse(c)
	}
	if !c[0].Listening || c[0].Remote != "" || !c[1].Streaming || c[1].Remote == "" {
		t.Errorf("listener and client: %+v", c)
	}
	p.Close()
	await(t, "the stream to end", ended)
	await(t, "its session to be closed", d.closed)
	why.are(t, "normal")
}

// A write that waits for its client ends when the client goes, and when the server stops.
func TestStreamThatIsNotRead(t *testing.T) {
	endless := func(w io.Writer, _ <-chan struct{}) {
		for err := error(nil); err == nil; {
			_, err = w.Write(make([]byte, 1<<20))
		}
	}
	d := newDesk()
	var why reasons
	s := serve(t, Options{Handler: tower{d, endless}, Closed: why.closed})
	a, b := dial(t, s), dial(t, s)
	for _, p := range []*peer{a, b} {
		p.says("version\r\n")
		p.sees("OK\r\n")
	}
	a.Close()
	await(t, "its session to be closed", d.closed)
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	await(t, "the other's to be closed", d.closed)
	why.are(t, "normal shutdown")
}

func TestStreamThatEndsByItself(t *testing.T) {
	d := newDesk()
	s := serve(t, Options{Handler: tower{d, func(io.Writer, <-chan struct{}) {}}})
	p := dial(t, s)
	p.says("version\r\n")
	p.sees("OK\r\n")
	p.ends()
}

func TestWhyConnectionsEnd(t *testing.T) {
	d := newDesk()
	var why reasons
	s := serve(t, Options{Handler: d, IdleTimeout: time.Second, Closed: why.closed})
	for _, says := range []string{"quit\r\n", "GET / HTTP/1.1\r\n", "get panic\r\n", ""} {
		p := dial(t, s)
		p.says("%s", says)
		p.ends()
	}
	why.are(t, "error error idle_timeout normal")
}

// Before a client has said who it is, its requests are served one by one: each by the rules that the one before it left.
func TestLoginOneByOne(t *testing.T) {
	d := newDesk()
	d.rules.Store(&mc.Rules{Login: true})
	p := dial(t, serve(t, Options{Handler: d}))
	p.says("get a\r\nget small\r\nset b 0 0 2\r\nhi\r\n")
	p.sees(value("a") + value("small") + "SERVER_ERROR object too large for cache\r\n")
	if n := d.largest.Load(); n != 1 {
		t.Errorf("a batch of %d", n)
	}
}

// Clients that nobody accepts: a unix socket refuses the next when its queue is full.
func TestBacklog(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have other ways with a full queue")
	}
	f := func(backlog int, wantErr bool) {
		t.Helper()
		s := New(Options{Handler: newDesk(), Backlog: backlog})
		defer s.Close()
		if err := s.Listen(unixAddr(t)); err != nil {
			t.Fatal(err)
		}
		var err error
		for range 5 {
			var nc net.Conn
			if nc, err = net.Dial("unix", s.Addrs()[0].Address); err != nil {
				break
			}
			defer nc.Close()
		}
		if (err != nil) != wantErr {
			t.Errorf("backlog %d: %v", backlog, err)
		}
	}
	f(1, true)
	f(0, false)
}
