// Everything at one revision, configurations under several keys, and the one that is kept.

package etcd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/tests/etcdpeer"
)

func TestView(t *testing.T) {
	t.Parallel()
	c := etcdpeer.Start(t, 1)
	web := func(o *Options) { o.Config = "config/web" }
	a, b, tool := source(t, c.Endpoints(), proxy("a")), source(t, c.Endpoints(), proxy("b"), web), source(t, c.Endpoints(), web)
	watch(t, a, "users")
	register(t, tool, "users", "l2", "l1")
	told := make(chan Config, 10)
	defer b.WatchConfig(func(c Config) { told <- c })()
	if _, err := a.PutConfig(background(t), "one", 0); err != nil {
		t.Fatal(err)
	}
	put, err := tool.PutConfig(background(t), "two", 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-told; got != put {
		t.Errorf("told %v, want %v", got, put)
	}
	a.Runs(1, Digest("one"), "")
	b.Runs(put.Generation, put.Digest, "no")
	b.ServesAdmin("127.0.0.1:9")
	var v View
	eventually(t, "all of it", func() bool {
		if v, err = tool.View(background(t)); err != nil {
			t.Fatal(err)
		}
		return len(v.Proxies) == 2 && v.Proxies[0].Digest != "" && v.Proxies[1].Admin != "" && len(v.Pools) == 1 && len(v.Pools[0].Members) == 2 && len(v.Leaders) == 1
	})
	if v.Configs["config"].Digest != Digest("one") || v.Configs["config/web"] != (ConfigInfo{1, put.Revision, Digest("two"), 3}) || v.Revision < put.Revision {
		t.Errorf("%+v", v)
	}
	if p := v.Proxies; p[0].ID != "a" || p[0].Config != "config" || p[1].Config != "config/web" || p[1].Refused != "no" || p[1].Admin != "127.0.0.1:9" {
		t.Errorf("%+v", p)
	}
	if l := v.Leaves; len(l) != 2 || l[0].Name != "l1" || l[1].Pool != "users" {
		t.Errorf("%+v", l)
	}
	if id := v.Leaders["tidy"]; id != "a" && id != "b" {
		t.Errorf("%+v", v.Leaders)
	}
	client := a.client.Load()
	for _, key := range []string{"/tidepool/proxies/odd", "/tidepool/leaves/users/odd", "/tidepool/pools/odd"} {
		if _, err := client.Put(background(t), key, "{"); err != nil {
			t.Fatal(err)
		}
	}
	if v, err = tool.View(background(t)); err != nil || len(v.Strange) != 3 || len(v.Pools) != 1 || len(v.Leaves) != 2 {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestConfigKeys(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"leaves", "leaves/users", "pools/x", "proxies/x", "leader/x", "/config", "config/"} {
		if _, err := New(Options{Endpoints: []string{"127.0.0.1:1"}, Config: key}); err == nil || !strings.Contains(err.Error(), "cannot hold a configuration") {
			t.Errorf("%q: %v", key, err)
		}
	}
}

// TestKeptConfig: only one that is whole, and of this key, is taken from disk.
func TestKeptConfig(t *testing.T) {
	t.Parallel()
	good := `{"version":1,"prefix":"/tidepool","key":"config","config":{"text":"x","generation":3,"revision":9,"digest":"` + Digest("x") + `"}}`
	f := func(text string, want bool) {
		t.Helper()
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := source(t, []string{"127.0.0.1:1"}, proxy("a"), func(o *Options) { o.StateDir, o.StaleAfter = dir, 1 })
		c, ok := s.KeptConfig()
		if ok != want || ok && (c.Text != "x" || c.Generation != 3 || !c.Stale) {
			t.Errorf("%s: %v %v", text, ok, c)
		}
		told := make(chan Config, 1)
		defer s.WatchConfig(func(c Config) { told <- c })()
		if want {
			if got := <-told; got != c {
				t.Errorf("told %v, want %v", got, c)
			}
		}
	}
	f(good, true)
	f(strings.Replace(good, `"key":"config"`, `"key":"config/web"`, 1), false)
	f(strings.Replace(good, `"text":"x"`, `"text":"y"`, 1), false)
	f(strings.Replace(good, `"revision":9,`, ``, 1), false)
	f(strings.Replace(good, `"prefix":"/tidepool"`, `"prefix":"/x"`, 1), false)
}
