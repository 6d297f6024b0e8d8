package etcdpeer

import (
	"slices"
	"testing"
	"time"
)

// TestCluster: a member that is killed is missed by none, and one that was wiped comes back.
func TestCluster(t *testing.T) {
	c := Start(t, 3)
	was := c.Leader()
	was.Kill()
	c.Await()
	if c.Leader() == was || len(c.Endpoints()) != 3 {
		t.Error("the member that was killed still leads")
	}
	c.Wipe()
	c.Restart()
	c.Leader()
}

// TestIsolate: a leader that is cut off is followed by another and leads no more; the others go on, and forget their past when they are told to.
func TestIsolate(t *testing.T) {
	c := StartLinked(t, 3)
	was := c.Leader()
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) { // other processes: there is nothing to wait on
			if time.Now().After(end) {
				t.Fatalf("not in time: %s", what)
			}
		}
	}
	another := func(m *Member) bool { return m != was && m.Leads() }
	c.Isolate(was)
	until("another leads", func() bool { return slices.ContainsFunc(c.Members, another) && !was.Leads() })
	if err := c.Compact(); err != nil {
		t.Error(err)
	}
	c.Heal()
	c.Await()
	c.Slow(5 * time.Millisecond)
	until("one leads over a slow network", func() bool { return slices.ContainsFunc(c.Members, (*Member).Leads) })
}
