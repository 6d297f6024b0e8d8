// Another leaf of the same name: who starts beside whom, and what is told.

package leaf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/access"
	"github.com/tidepool-proxy/tidepool/tests/pki"
)

// TestRivalByRoute: servers of one name make no route to each other, and where there are two leaves nobody else could tell of the other.
func TestRivalByRoute(t *testing.T) {
	ca := pki.New(t)
	pair := ca.Issue(t, time.Hour, "127.0.0.1")
	config, err := access.TLS{Cert: pair.Cert, Key: pair.Key, CA: ca.File}.Route()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]Cluster{"open": {}, "password": {Password: "p"}, "certificates": {TLS: config}} {
		t.Run(name, func(t *testing.T) {
			c.Listen = "127.0.0.1:0"
			first := start(t, Options{Name: "a", Settle: time.Millisecond, Cluster: c})
			c.Routes = []string{first.ClusterAddr()}
			_, err := Start(context.Background(), Options{Name: "a", Settle: patience / 10, Handover: time.Millisecond, Cluster: c})
			want := fmt.Sprintf(`cannot start leaf "a": the name is taken: another leaf answers to it (at %s)`, first.Addr())
			if !errors.Is(err, ErrNameTaken) || err.Error() != want {
				t.Errorf("%v,\nwant %s", err, want)
			}
			start(t, Options{Name: "b", Settle: 20 * time.Millisecond, Cluster: c})
		})
	}
}

// TestRivalIsNamed: with its instance, and where it is.
func TestRivalIsNamed(t *testing.T) {
	url := natsServer(t)
	first := start(t, Options{Name: "a", NATS: url, Settle: time.Millisecond})
	_, err := Start(context.Background(), Options{Name: "a", NATS: url, Settle: patience})
	want := fmt.Sprintf("(instance %d, serving, at 127.0.0.1 through %s/a)", first.Instance(), url)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v,\nwant %s", err, want)
	}
}

// answering stands for a leaf of a name that answers hello as say says: nil is no answer.
func answering(t *testing.T, url, name string, say func() *frame.HelloReply) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	t.Cleanup(func() { nc.Close(); <-closed })
	_, err = nc.Subscribe(frame.HelloSubject(name), func(m *nats.Msg) {
		if r := say(); r != nil {
			b, _ := json.Marshal(r)
			_ = m.Respond(b)
		}
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestPredecessors: one that is dead is in nobody's way, though NATS still knows of it; one that is ending is waited for, but not for ever.
func TestPredecessors(t *testing.T) {
	url := natsServer(t)
	answering(t, url, "dead", func() *frame.HelloReply { return nil })
	start(t, Options{Name: "dead", NATS: url, Settle: 20 * time.Millisecond})

	var log told
	var asked atomic.Int32
	answering(t, url, "ending", func() *frame.HelloReply {
		if asked.Add(1) > 8 {
			return nil
		}
		return &frame.HelloReply{Instance: 7, State: frame.StateDraining, Addr: "there"}
	})
	start(t, Options{Name: "ending", NATS: url, Settle: 20 * time.Millisecond, Handover: patience, Log: log.logger()})
	if want := `msg="leaf: another leaf has this name; waiting for it to end" leaf=ending other=7 addr=there`; strings.Count(log.text(), want) != 1 {
		t.Errorf("logged:\n%swant once %s", log.text(), want)
	}

	answering(t, url, "stuck", func() *frame.HelloReply { return &frame.HelloReply{Instance: 7, State: frame.StateDraining} })
	if _, err := Start(context.Background(), Options{Name: "stuck", NATS: url, Settle: 200 * time.Millisecond, Handover: time.Millisecond}); !errors.Is(err, ErrNameTaken) {
		t.Errorf("beside one that never ends: %v", err)
	}
}

// TestRivalLater: two leaves of one name that could not reach each other when they started are told of, at both, when they can; neither ends.
func TestRivalLater(t *testing.T) {
	var logs [2]told
	var twins [2]*Leaf
	for i := range twins {
		twins[i] = start(t, Options{Name: "a", Settle: 100 * time.Millisecond, Rivals: 10 * time.Millisecond, Log: logs[i].logger(), Cluster: Cluster{Listen: "127.0.0.1:0"}})
	}
	between := start(t, Options{Name: "b", Settle: time.Millisecond, Cluster: Cluster{
		Listen: "127.0.0.1:0", Routes: []string{twins[0].ClusterAddr(), twins[1].ClusterAddr()},
	}})
	for i, l := range twins {
		other := twins[1-i]
		logs[i].wait(t, fmt.Sprintf(`level=ERROR msg="leaf: another leaf has this name: proxies reach now the one, now the other; end one of them" leaf=a instance=%d other=%d addr=%s`,
			l.Instance(), other.Instance(), other.URL()))
	}
	_ = twins[1].Close(ended())
	logs[0].wait(t, `level=INFO msg="leaf: no other leaf has this name any more" leaf=a`)
	waitFor(t, "one route", func() bool { return between.Routes() == 1 })
	serves(t, dial(t, twins[0]), 1)
}

// TestRivalLaterByRoute: without a third leaf too.
func TestRivalLaterByRoute(t *testing.T) {
	var log told
	first := start(t, Options{Name: "a", Settle: time.Millisecond, Cluster: Cluster{Listen: "127.0.0.1:0"}})
	addr := first.ClusterAddr()
	_ = first.Close(ended())
	second := start(t, Options{Name: "a", Settle: 100 * time.Millisecond, Rivals: 10 * time.Millisecond, Log: log.logger(), Cluster: Cluster{
		Listen: "127.0.0.1:0", Routes: []string{addr},
	}})
	again := start(t, Options{Name: "a", Settle: time.Millisecond, Cluster: Cluster{Listen: addr}})
	log.wait(t, fmt.Sprintf(`another leaf has this name: proxies reach now the one, now the other; end one of them" leaf=a instance=%d other=0 addr=%s`, second.Instance(), again.Addr()))
}
