// Elections while etcd is gone.

package etcd

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
)

// TestLeadEndsWithoutEtcd: who leads, and who waits to, can be closed when etcd is gone.
func TestLeadEndsWithoutEtcd(t *testing.T) {
	t.Parallel()
	c, st := etcdpeer.Start(t, 1), &stage{}
	both := []*Source{source(t, c.Endpoints(), proxy("a")), source(t, c.Endpoints(), proxy("b"))}
	var wg sync.WaitGroup
	for i, s := range both {
		wg.Go(func() { _ = s.Lead(context.Background(), "job", st.play(t, fmt.Sprint(i))) })
	}
	eventually(t, "two candidates", func() bool {
		client := both[0].client.Load()
		if client == nil {
			return false
		}
		r, err := client.Get(t.Context(), both[0].key(dirLeader+"job"), clientv3.WithPrefix(), clientv3.WithCountOnly())
		return err == nil && r.Count == 2 && st.played() != ""
	})
	c.Members[0].Kill()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for _, s := range both {
			_ = s.Close() // whether the connection could be closed well does not matter
		}
		wg.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("they do not end")
	}
}
