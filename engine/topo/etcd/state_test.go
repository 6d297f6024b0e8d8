// What is kept on disk, and a start from it.

package etcd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
)

// TestStateDir: without etcd a proxy starts from what another has kept, says that it is stale, and goes on from there.
func TestStateDir(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	dir := filepath.Join(t.TempDir(), "state")
	keep := func(o *Options) { o.StateDir = dir }
	a := source(t, c.Endpoints(), proxy("a"), keep)
	w := watch(t, a, "users")
	tier := source(t, c.Endpoints())
	register(t, tier, "users", "l1", "l2")
	was := w.members("l1 l2")
	put, err := a.PutConfig(background(t), "pool{}", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := a.KeptConfig(); ok {
		t.Error("one that nobody has loaded is kept")
	}
	a.KeepConfig(put)
	if kept, ok := a.KeptConfig(); !ok || !kept.Stale || kept.Text != "pool{}" {
		t.Errorf("kept: %v", kept)
	}
	pool, config := filepath.Join(dir, "pool-users.json"), filepath.Join(dir, "config.json")
	eventually(t, "both to be kept", func() bool {
		for _, f := range []string{pool, config} {
			if _, err := os.Stat(f); err != nil {
				return false
			}
		}
		return true
	})
	for file, want := range map[string]os.FileMode{dir: 0o700, pool: 0o600, config: 0o600} {
		if st, err := os.Stat(file); err != nil || st.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", file, st.Mode(), err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	c.Members[0].Kill()

	log := &testWriter{}
	b := source(t, c.Endpoints(), proxy("b"), keep, logTo(log))
	w = watch(t, b, "users")
	s := w.await("what is on disk", func(s topo.Snapshot) bool { return true })
	if !s.Stale || s.Epoch != was.Epoch || list(s.Members) != "l1 l2" {
		t.Errorf("from disk: %v", s)
	}
	configs := make(chan Config, 10)
	defer b.WatchConfig(func(c Config) { configs <- c })()
	if c := <-configs; !c.Stale || c.Text != "pool{}" || c.Generation != 1 {
		t.Errorf("from disk: %v", c)
	}
	c.Restart()
	if s := w.await("etcd's word", func(s topo.Snapshot) bool { return !s.Stale }); s.Epoch != was.Epoch || list(s.Members) != "l1 l2" {
		t.Errorf("confirmed: %v", s)
	}
	if c := <-configs; c.Stale || c.Text != "pool{}" {
		t.Errorf("confirmed: %v", c)
	}
	if strings.Contains(log.String(), "of no use") {
		t.Errorf("complaints:\n%s", log)
	}
}

// TestStateDirAway: what could not be written when it changed is written later.
func TestStateDirAway(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	dir, log := filepath.Join(t.TempDir(), "state"), &testWriter{}
	a := source(t, c.Endpoints(), proxy("a"), logTo(log), func(o *Options) { o.StateDir = dir })
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	w := watch(t, a, "users")
	register(t, a, "users", "l1")
	w.members("l1")
	eventually(t, "a complaint", func() bool { return strings.Contains(log.String(), "cannot keep a membership") })
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it to be kept", func() bool { _, err := os.Stat(filepath.Join(dir, "pool-users.json")); return err == nil })
}

// TestStateDirWiped: memberships on disk survive an etcd that has forgotten them, and no epoch comes twice.
func TestStateDirWiped(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	dir, ck := t.TempDir(), &clock{}
	a := source(t, c.Endpoints(), proxy("a"), func(o *Options) { o.StateDir, o.Now = dir, ck.now })
	ck.forward(48 * 3600e9) // its clock is two days ahead
	w := watch(t, a, "users")
	r := register(t, a, "users", "l1")[0]
	was := w.members("l1")
	eventually(t, "it to be kept", func() bool { _, err := os.Stat(filepath.Join(dir, "pool-users.json")); return err == nil })
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	<-r.h.done
	c.Wipe()
	c.Restart()
	b := source(t, c.Endpoints(), proxy("b"), func(o *Options) { o.StateDir = dir })
	w = watch(t, b, "users")
	register(t, b, "users", "l1", "l2")
	if s := w.members("l1 l2"); s.Epoch <= was.Epoch {
		t.Errorf("epoch %d after %d", s.Epoch, was.Epoch)
	}
}

// TestBadState: files that are of no use are said, each, and left out.
func TestBadState(t *testing.T) {
	t.Parallel()
	dir, log := t.TempDir(), &testWriter{}
	const good = `{"version":1,"prefix":"/tidepool","pool":{"pool":"good","epoch":7,"members":[{"name":"l1","addr":"h:1"}]}}`
	for name, text := range map[string]string{
		"pool-good":    good,
		"pool-other":   good,
		"pool-cut":     good[:40],
		"pool-empty":   ``,
		"pool-version": strings.NewReplacer(`:1,`, `:9,`, `"good"`, `"version"`).Replace(good),
		"pool-prefix":  strings.NewReplacer(`/tidepool`, `/elsewhere`, `"good"`, `"prefix"`).Replace(good),
		"pool-epoch":   strings.NewReplacer(`:7`, `:0`, `"good"`, `"epoch"`).Replace(good),
		"pool-members": strings.NewReplacer(`"l1"`, `"L1"`, `"good"`, `"members"`).Replace(good),
		"nothing":      `{"version":1,"prefix":"/tidepool"}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := source(t, []string{"127.0.0.1:1"}, proxy("a"), logTo(log), func(o *Options) { o.StateDir, o.StaleAfter = dir, 1 })
	if got := watch(t, s, "good").await("what is good", func(topo.Snapshot) bool { return true }); got.Epoch != 7 || !got.Stale {
		t.Errorf("from disk: %v", got)
	}
	if n := countLines(log.String(), "what was kept in a file is of no use"); n != 8 {
		t.Errorf("%d complaints:\n%s", n, log)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Endpoints: []string{"h:1"}, StateDir: filepath.Join(file, "x")}); err == nil {
		t.Error("a folder that cannot be made is no error")
	}
}
