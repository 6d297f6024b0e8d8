// tidepool leaf --recover-from: a neighbour that wants to know who asks, and what cannot be meant.

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/pki"
)

func TestRecoverFromSecuredLeaf(t *testing.T) {
	ca := pki.New(t)
	cert, mine := ca.Issue(t, time.Hour, "127.0.0.1"), ca.Issue(t, time.Hour, "leaf")
	pub, key := seed(t)
	keys := write(t, "keys", pub+"\n")
	p := start(t, "leaf", "--name", "leaf-2", "--listen", "127.0.0.1:0", "--memory", "8MiB", "--memcached", "127.0.0.1:0",
		"--tls-cert", cert.Cert, "--tls-key", cert.Key, "--tls-ca", ca.File, "--authorized-nkeys", keys)
	f := p.logged(0, "leaf ready")
	bash(t, "exec 3<>/dev/tcp/"+strings.Replace(f["memcached"].(string), ":", "/", 1)+`; printf 'set k 5 0 1\r\nv\r\n' >&3; read -r line <&3; [ "$line" = $'STORED\r' ]`)
	recovering := func(args ...string) (*process, map[string]any) {
		q := start(t, append([]string{"leaf", "--name", "leaf-1", "--listen", "127.0.0.1:0", "--memory", "8MiB", "--admin", "127.0.0.1:0",
			"--recover-settle", "10ms", "--recover-timeout", "1s", "--recover-from", f["url"].(string) + "/leaf-2"}, args...)...)
		return q, q.logged(0, "leaf ready")
	}
	q, ready := recovering("--recover-tls-ca", ca.File, "--recover-tls-cert", mine.Cert, "--recover-tls-key", mine.Key, "--recover-nkey", key)
	if got := q.logged(0, "recovery is over"); got["state"] != "warm" || got["items"] != 1.0 {
		t.Errorf("%v", got)
	}
	var config struct {
		Recovery struct {
			State   string
			Items   int
			Sources []struct{ Verified bool }
		}
	}
	admin := "http://" + ready["admin"].(string)
	if err := json.Unmarshal([]byte(get(t, admin+"/config")), &config); err != nil || config.Recovery.State != "warm" || !config.Recovery.Sources[0].Verified {
		t.Errorf("%+v, %v", config, err)
	}
	get(t, admin+"/readyz")
	if m := get(t, admin+"/metrics"); !strings.Contains(m, "tidepool_leaf_recovered_items_total{leaf=\"leaf-1\"} 1\n") {
		t.Error("/metrics does not count the item")
	}

	q, ready = recovering("--recover-tls-ca", ca.File, "--recover-tls-cert", mine.Cert, "--recover-tls-key", mine.Key)
	resp, err := http.Get("http://" + ready["admin"].(string) + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 503 || string(body) != "not ready: recovering (connecting): 0 items taken\n" {
		t.Errorf("%s %q", resp.Status, body)
	}
	q.logged(0, "recovery: neighbour given up", "Authorization Violation")
	if got := q.logged(0, "recovery is over, not all could be had"); got["state"] != "cold" {
		t.Errorf("%v", got)
	}
	if m := get(t, "http://"+ready["admin"].(string)+"/metrics"); !strings.Contains(m, "tidepool_leaf_recovery_incomplete{leaf=\"leaf-1\"} 1\n") {
		t.Error("/metrics does not say that the recovery is incomplete")
	}
	get(t, "http://"+ready["admin"].(string)+"/readyz") // an orchestrator that waits would wait for ever
}

func TestRecoverFlags(t *testing.T) {
	f := func(code int, want string, args ...string) {
		t.Helper()
		p := start(t, append([]string{"leaf", "--name", "a", "--listen", "127.0.0.1:0", "--memory", "8MiB"}, args...)...)
		p.exit(code)
		if got := p.Stderr.Text(); !strings.Contains(got, want) || strings.Contains(got, "s3cret") {
			t.Errorf("%q: %s, want %q", args, got, want)
		}
	}
	f(2, `invalid argument "0s" for "--recover-timeout" flag`, "--recover-timeout", "0")
	f(2, `invalid argument "-1s" for "--recover-settle" flag`, "--recover-settle", "-1s")
	f(2, "want one of --recover-creds, --recover-nkey and --recover-user", "--recover-nkey", "a", "--recover-creds", "b")
	f(1, `cannot recover from "a": it is this leaf itself`, "--recover-from", "a")
	f(1, `cannot recover from "b": a leaf outside this one's NATS system is named by its address, nats://host:port/b`, "--recover-from", "b")
	f(1, "an address with a password in it", "--recover-from", "nats://u:s3cret@127.0.0.1:1/b")
	f(1, "open /no/such: ", "--recover-from", "nats://127.0.0.1:1/b", "--recover-user", "u", "--recover-password-file", "/no/such")
}
