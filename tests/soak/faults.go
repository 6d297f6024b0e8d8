// The faults: leaves die in turn, come back and recover, or hang for a while; the proxy reloads.

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// faults goes on until ctx ends. Afterwards both leaves are warm, or the error says why not.
func (w *world) faults(ctx context.Context) error {
	ended := make(chan error, 2)
	go func() { ended <- w.reload(ctx) }()
	go func() { ended <- w.strike(ctx) }()
	first := <-ended
	if err := <-ended; first == nil {
		first = err
	}
	return first
}

// after waits for a random time around mean; false if ctx ended.
func after(ctx context.Context, r *rand.Rand, mean time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(mean/2 + time.Duration(r.Int64N(int64(mean)))):
		return true
	}
}

// strike hurts one leaf, then the other: it is killed or, every third time, only stopped for a while. A leaf is also brought back
// when the time is up meanwhile, so that the end finds a whole world.
func (w *world) strike(ctx context.Context) error {
	r := rand.New(rand.NewPCG(w.s.seed, 1))
	for n := 0; after(ctx, r, w.s.kill); n++ {
		m := w.leaves[n%2]
		if err := m.alive(); err != nil {
			return err
		}
		f := w.kill
		if n%3 == 2 {
			f = w.hang
		}
		if err := f(ctx, r, m); err != nil {
			return err
		}
	}
	return nil
}

// The mean times for which a leaf is away. One that hangs does so long enough for requests to time out and hellos to go unanswered.
const (
	downTime = time.Second
	hangTime = 4 * time.Second
)

func (w *world) kill(ctx context.Context, r *rand.Rand, m *member) error {
	w.say("%s is killed", m.name)
	m.life.Load().Kill()
	after(ctx, r, downTime)
	ctx = context.WithoutCancel(ctx)
	begin := time.Now()
	if err := m.start(ctx, w.s, "leaf ready"); err != nil {
		return err
	}
	served := time.Since(begin)
	if err := until(ctx, m.name+" is warm", func() bool { return m.ready() || m.alive() != nil }); err != nil {
		return err
	}
	w.say("%s serves after %v, is warm after %v with %.0f items", m.name,
		served.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond), m.metric("tidepool_leaf_items"))
	w.count(func(s *seen) { s.kills++ })
	return m.alive()
}

func (w *world) hang(ctx context.Context, r *rand.Rand, m *member) error {
	p := m.life.Load().Cmd.Process
	w.say("%s is stopped", m.name)
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	after(ctx, r, hangTime)
	w.say("%s goes on", m.name)
	w.count(func(s *seen) { s.hangs++ })
	return p.Signal(syscall.SIGCONT)
}

// reload gives the proxy one configuration after the other, some of them bad.
func (w *world) reload(ctx context.Context) error {
	r := rand.New(rand.NewPCG(w.s.seed, 2))
	good, err := os.ReadFile(w.config())
	if err != nil {
		return err
	}
	for n := 1; after(ctx, r, w.s.reload); n++ {
		text := strings.Replace(string(good), "-- number 0", fmt.Sprintf("-- number %d", n), 1)
		done := "configuration loaded"
		if n%5 == 0 {
			text, done = "-- number\nlocal = 3\n", "cannot load configuration"
		}
		if err := os.WriteFile(w.config()+".new", []byte(text), 0o600); err != nil {
			return err
		}
		if err := os.Rename(w.config()+".new", w.config()); err != nil {
			return err
		}
		p := w.proxy.life.Load()
		from := p.Stderr.Count()
		if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
			return err
		}
		if _, err := p.Logged(from, patience, done); err != nil {
			return fmt.Errorf("reload %d: %w", n, err)
		}
		w.count(func(s *seen) { s.reloads++ })
	}
	return nil
}

// ready asks /readyz.
func (m *member) ready() bool {
	res, err := admin.Get("http://" + m.admin + "/readyz")
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}
