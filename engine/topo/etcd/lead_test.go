// One leader at a time; the configuration.

package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
)

// stage counts who is on it at once.
type stage struct {
	mu  sync.Mutex
	on  int
	who []string
}

func (s *stage) play(t *testing.T, name string) func(context.Context) {
	return func(ctx context.Context) {
		s.mu.Lock()
		if s.on++; s.on > 1 {
			t.Errorf("%s leads beside another", name)
		}
		s.who = append(s.who, name)
		s.mu.Unlock()
		<-ctx.Done()
		s.mu.Lock()
		s.on--
		s.mu.Unlock()
	}
}

func (s *stage) played() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.who, " ")
}

// TestLead: one leads; when it is cut off it has stopped before another begins, and when it closes another begins at once.
func TestLead(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	net, st := network(t, c.Endpoints()[0]), &stage{}
	a, b := source(t, []string{net.Addr()}, proxy("a")), source(t, c.Endpoints(), proxy("b"))
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	defer func() { cancel(); wg.Wait() }()
	lead := func(s *Source, name string) {
		wg.Go(func() {
			if err := s.Lead(ctx, "job", st.play(t, name)); err == nil {
				t.Errorf("%s came to an end by itself", name)
			}
		})
	}
	lead(a, "a")
	eventually(t, "a to lead", func() bool { return st.played() == "a" })
	lead(b, "b")
	net.Freeze()
	eventually(t, "b to follow", func() bool { return st.played() == "a b" })
	net.Heal()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a to lead again", func() bool { return st.played() == "a b a" })
	began := time.Now()
	if err := a.Lead(ctx, "other", func(context.Context) {}); err != nil {
		t.Errorf("what comes to an end by itself: %v after %v", err, time.Since(began))
	}
}

// TestConfig: who puts names what he replaces, and watchers are told.
func TestConfig(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	a, tool := source(t, c.Endpoints(), proxy("a")), source(t, c.Endpoints())
	if got, err := tool.Config(background(t)); err != nil || got != (Config{}) {
		t.Errorf("before the first: %v, %v", got, err)
	}
	told := make(chan Config, 10)
	stop := a.WatchConfig(func(c Config) { told <- c })
	expect := func(want Config) {
		t.Helper()
		if got := <-told; got != want {
			t.Errorf("told %v, want %v", got, want)
		}
	}
	one, err := tool.PutConfig(background(t), "one", 0)
	if err != nil || one.Generation != 1 || one.Digest != Digest("one") {
		t.Fatalf("%v, %v", one, err)
	}
	expect(one)
	if _, err := tool.PutConfig(background(t), "two", 0); !errors.Is(err, ErrConflict) {
		t.Errorf("a first one beside another: %v", err)
	}
	two, err := tool.PutConfig(background(t), "two", one.Revision)
	if err != nil || two.Generation != 2 {
		t.Errorf("%v, %v", two, err)
	}
	if now, err := tool.PutConfig(background(t), "three", one.Revision); !errors.Is(err, ErrConflict) || now != two {
		t.Errorf("over one that is not there any more: %v, %v", now, err)
	}
	expect(two)
	a.Runs(two.Generation, two.Digest, "bad.lua:1: no")
	eventually(t, "the proxy to say what it runs", func() bool {
		ps, err := tool.Proxies(background(t))
		return err == nil && len(ps) == 1 && ps[0].Generation == 2 && ps[0].Refused != ""
	})
	if _, err := raw(t, c.Endpoints()).Delete(background(t), "/tidepool/config"); err != nil {
		t.Fatal(err)
	}
	if got := <-told; !got.Removed || got.Text != "" {
		t.Errorf("taken away: %v", got)
	}
	stop()
	if three, err := tool.PutConfig(background(t), "three", AnyRevision); err != nil || three.Generation != 1 {
		t.Errorf("%v, %v", three, err)
	}
	if big, err := tool.PutConfig(background(t), strings.Repeat("-", 4<<20), AnyRevision); err == nil {
		t.Errorf("4 MiB are no error: %s", fmt.Sprint(big.Generation))
	}
}
