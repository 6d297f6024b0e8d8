// What a leaf's log says of its server and of NATS, and what it does not say over and over.

package leaf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/tests/natsd"
)

// told is a log that can be read while it is written.
type told struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *told) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *told) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *told) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func (l *told) wait(t *testing.T, want string) {
	t.Helper()
	waitFor(t, want, func() bool { return strings.Contains(l.text(), want) })
}

// TestRoutesAreTold: who has routes and who waits for one in vain.
func TestRoutesAreTold(t *testing.T) {
	var logA, logB told
	b := start(t, Options{Name: "b", Settle: time.Millisecond, Log: logB.logger(), Cluster: Cluster{Listen: "127.0.0.1:0", Routes: []string{"127.0.0.1:1"}}})
	logB.wait(t, `level=WARN msg="leaf: no route to another leaf yet" leaf=b tried=[127.0.0.1:1]`)
	a := start(t, Options{Name: "a", Settle: time.Millisecond, Log: logA.logger(), Cluster: Cluster{Listen: "127.0.0.1:0", Routes: []string{b.ClusterAddr()}}})
	logA.wait(t, `level=INFO msg="leaf: routes to other leaves" leaf=a routes=[b]`)
	logB.wait(t, `level=INFO msg="leaf: routes to other leaves" leaf=b routes=[a]`)
	if n := b.Stats().Routes; n != 1 {
		t.Errorf("%d routes", n)
	}
	_ = a.Close(ended())
	logB.wait(t, `level=WARN msg="leaf: routes to other leaves lost" leaf=b lost=[a] routes=[]`)
	if n := strings.Count(logB.text(), "no route to another leaf yet"); n != 1 {
		t.Errorf("said %d times that there is none", n)
	}
}

// TestNATSAway: a leaf that joined NATS says that it has lost it, and that it is back.
func TestNATSAway(t *testing.T) {
	var log told
	byAddr := map[string]*server.Server{}
	var urls []string
	for range 2 {
		s := natsd.Start(t)
		byAddr[s.Addr().String()] = s
		urls = append(urls, s.ClientURL())
	}
	l := start(t, Options{NATS: strings.Join(urls, ","), Settle: time.Millisecond, Log: log.logger()})
	at := l.nc.ConnectedAddr()
	byAddr[at].Shutdown()
	log.wait(t, `level=WARN msg="leaf: NATS is away" leaf=leaf-1 err=`)
	log.wait(t, `level=INFO msg="leaf: NATS is back" leaf=leaf-1 server=127.0.0.1:`)
	delete(byAddr, at)
	for _, other := range byAddr {
		other.Shutdown()
	}
	waitFor(t, "why it stays away", func() bool { return strings.Contains(log.text(), "connection refused") })
	_ = l.Close(ended())
	if n := strings.Count(log.text(), "connection refused"); n != 1 {
		t.Errorf("said %d times in a moment why it stays away", n)
	}
}

func TestServerWarningsAreBounded(t *testing.T) {
	var log told
	now := time.Unix(1000, 0)
	l := &serverLog{log: log.logger(), now: func() time.Time { return now }, fatal: make(chan string, 1)}
	said := func() int { return strings.Count(log.text(), "\n") }
	for i := range 100 {
		l.Warnf("w%d", i)
		l.Errorf("e%d", i)
	}
	if said() != warnBurst || strings.Contains(log.text(), "dropped") {
		t.Errorf("%d lines:\n%s", said(), log.text())
	}
	now = now.Add(time.Second)
	l.Errorf("later")
	l.Errorf("lost")
	if said() != warnBurst+1 || !strings.HasSuffix(log.text(), "later\" dropped=190\n") {
		t.Errorf("%d lines:\n%s", said(), log.text())
	}
	l.Fatalf("fatal %d", 1) // told by whoever starts it, so not here
	if err := l.begin(); err == nil || err.Error() != "fatal 1" || said() != warnBurst+1 {
		t.Errorf("%v, %d lines:\n%s", err, said(), log.text())
	}
	l.Fatalf("fatal %d", 2) // nobody else tells it now, and it is not one of the warnings
	if err := l.begin(); err != nil || said() != warnBurst+2 || !strings.HasSuffix(log.text(), "fatal 2\"\n") {
		t.Errorf("%v, %d lines:\n%s", err, said(), log.text())
	}
	now = now.Add(time.Hour)
	for range 100 {
		l.Warnf("burst")
	}
	if said() != 2*warnBurst+2 {
		t.Errorf("%d lines", said())
	}
}

// TestPermissions: a leaf that NATS does not let do all that a leaf does will not say that it serves.
func TestPermissions(t *testing.T) {
	const subjects, inboxes = "tp.1.>", "_INBOX.>"
	all := []string{subjects, inboxes}
	cases := []struct {
		pub, sub []string
		want     string // "": it starts
	}{
		{all, all, ""},
		{[]string{subjects}, all, `Publish to "_INBOX.`},
		{[]string{inboxes}, all, `Publish to "tp.1.leaf-1.hello"`},
		{all, []string{subjects}, `Subscription to "_INBOX.`},
		{all, []string{inboxes}, `Subscription to "tp.1.leaf-1.`},
	}
	var users []*server.User
	for i, c := range cases {
		users = append(users, &server.User{Username: fmt.Sprint("u", i), Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Allow: c.pub}, Subscribe: &server.SubjectPermission{Allow: c.sub},
		}})
	}
	s := natsd.Start(t, func(o *server.Options) { o.Users = users })
	for i, c := range cases {
		l, err := Start(context.Background(), Options{Name: "leaf-1", NATS: s.ClientURL(), User: fmt.Sprint("u", i), Password: "p", Settle: 10 * time.Millisecond})
		if err == nil {
			_ = l.Close(ended())
		}
		if c.want == "" && err == nil {
			continue
		}
		if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("may publish %q and subscribe to %q: %v, want %q", c.pub, c.sub, err, c.want)
		}
	}
}
