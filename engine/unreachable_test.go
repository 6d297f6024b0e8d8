package engine

import (
	"maps"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// informedSource wants to know who is not reached.
type informedSource struct {
	*fakeSource
	told chan map[string]string
}

// awayLeaf is a leaf that cannot be reached.
type awayLeaf struct{ instant }

func (awayLeaf) Status() backend.Status { return backend.Status{Name: "a"} }
func (awayLeaf) Fenced() uint64         { return 0 }
func (awayLeaf) Send(_ *mc.Request, p *backend.Pending) {
	backend.Refuse(p, backend.ErrDown)
}

func (f *informedSource) Unreachable(_ string, members map[string]string) { f.told <- members }

// TestUnreachableMembersAreTold: leaves, and no servers that nobody can fence; and that they are gone.
func TestUnreachableMembersAreTold(t *testing.T) {
	f := &informedSource{newFakeSource(), make(chan map[string]string, 100)}
	f.is("users", 1, "a=nats://127.0.0.1:1/a", "b=127.0.0.1:1")
	startProxy(t, writeConfig(t, discovered, `mcp.discover("users")`, "p"), func(o *Options) {
		o.FirstNews, o.Topology = 1, f
		o.NewLeaf = func(pools.Spec, func(backend.Event)) (backend.Backend, error) { return awayLeaf{}, nil }
	})
	if got, want := <-f.told, map[string]string{"a": "nats://127.0.0.1:1/a"}; !maps.Equal(got, want) {
		t.Errorf("told are %v, want %v", got, want)
	}
	f.is("users", 2, "b=127.0.0.1:1")
	if got := <-f.told; len(got) != 0 {
		t.Errorf("told are %v, want nobody", got)
	}
}

// TestReach: told are those who have been away for a while, where they are now, once.
func TestReach(t *testing.T) {
	f := &informedSource{newFakeSource(), make(chan map[string]string, 1)}
	const reachAfter = time.Minute
	r := reach{to: f, after: reachAfter, since: map[string]map[string]time.Time{}, told: map[string]map[string]string{}}
	at := time.Unix(1000, 0)
	r.only(map[string]*topic{"users": {}})
	for i, step := range []struct {
		after time.Duration
		away  map[string]string
		told  map[string]string // nil: nothing
	}{
		{0, map[string]string{"a": "1"}, nil},
		{reachAfter / 2, map[string]string{"a": "1", "b": "2"}, nil},
		{reachAfter / 2, map[string]string{"a": "1", "b": "2"}, map[string]string{"a": "1"}},
		{0, map[string]string{"a": "1", "b": "2"}, nil},
		{reachAfter / 2, map[string]string{"a": "9", "b": "2"}, map[string]string{"b": "2"}}, // a has moved
		{reachAfter, map[string]string{"b": "2"}, nil},
		{0, map[string]string{}, map[string]string{}},
		{reachAfter, map[string]string{"b": "2"}, nil}, // it is counted anew
	} {
		at = at.Add(step.after)
		r.look("users", step.away, at)
		select {
		case got := <-f.told:
			if step.told == nil || !maps.Equal(got, step.told) {
				t.Errorf("step %d: told are %v, want %v", i, got, step.told)
			}
		default:
			if step.told != nil {
				t.Errorf("step %d: nobody is told, want %v", i, step.told)
			}
		}
	}
	r.look("users", map[string]string{"b": "2"}, at.Add(reachAfter))
	<-f.told
	r.only(r.of)
	if len(r.told) != 1 {
		t.Errorf("%+v is left of a topic that goes on", r.told)
	}
	r.only(map[string]*topic{"users": {}}) // another one
	if len(r.since) != 0 || len(r.told) != 0 {
		t.Errorf("%+v is remembered of one that has ended", r)
	}
}

var _ topo.Informed = (*informedSource)(nil)
