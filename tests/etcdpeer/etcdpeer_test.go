package etcdpeer

import (
	"testing"
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
