// The networks between members, and what is done to etcd that no client of ours does.

package etcdpeer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/faultproxy"
)

// link gives an address that leads to a member's.
func (c *Cluster) link(to string) string {
	c.t.Helper()
	p, err := faultproxy.Start(to)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = p.Close() })
	c.links = append(c.links, p)
	return p.Addr()
}

// Isolate cuts a member off from the others, which may hear of it only by their clients. One at a time; Heal ends it. Its clients reach it as before.
func (c *Cluster) Isolate(m *Member) {
	c.t.Helper()
	// Who speaks to whom: each member dials the others, for what it sends and for what it is sent, and each request says who it is.
	id := c.id(m)
	for i, p := range c.links {
		if c.Members[i] == m {
			p.Freeze()
		} else {
			p.FreezeFrom("X-Server-From: " + id)
		}
	}
}

// Slow has everything between members take so much longer. Heal ends it.
func (c *Cluster) Slow(d time.Duration) {
	for _, p := range c.links {
		p.Delay(d)
	}
}

// Heal ends Isolate and Slow.
func (c *Cluster) Heal() {
	for _, p := range c.links {
		p.Heal()
	}
}

// id is how members call one of them.
func (c *Cluster) id(m *Member) string {
	c.t.Helper()
	for _, o := range c.Members {
		if o.p == nil {
			continue
		}
		answer, err := client.Get("http://" + o.peer + "/members")
		if err != nil {
			continue
		}
		var list []struct {
			ID   uint64
			Name string
		}
		err = json.NewDecoder(answer.Body).Decode(&list)
		answer.Body.Close()
		for _, one := range list {
			if err == nil && one.Name == m.Name {
				return fmt.Sprintf("%x", one.ID)
			}
		}
	}
	c.t.Fatalf("no member knows %s", m.Name)
	return ""
}

// client asks members. One that hangs is given up.
var client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// Compact has etcd forget what was before its present revision. An error: no member did.
func (c *Cluster) Compact() error {
	err := fmt.Errorf("no member runs")
	for _, m := range c.Members {
		if m.p == nil {
			continue
		}
		var at struct{ Header struct{ Revision string } }
		if err = m.ask("range", map[string]any{"key": "AA=="}, &at); err != nil {
			continue
		}
		if err = m.ask("compaction", map[string]any{"revision": at.Header.Revision}, &at); err == nil {
			return nil
		}
	}
	return fmt.Errorf("cannot compact etcd: %w", err)
}

// ask asks the member by etcd's JSON.
func (m *Member) ask(what string, question, answer any) error {
	b, err := json.Marshal(question)
	if err != nil {
		return err
	}
	r, err := client.Post("http://"+m.Client+"/v3/kv/"+what, "application/json", bytes.NewReader(b))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", what, r.Status)
	}
	return json.NewDecoder(r.Body).Decode(answer)
}

// Runs reports whether the member has been started and not killed since.
func (m *Member) Runs() bool { return m.p != nil }

// Leads reports whether the member says that it leads. One that has just been cut off does for a moment, beside another.
func (m *Member) Leads() bool {
	if m.p == nil {
		return false
	}
	answer, err := client.Get(m.metrics() + "/metrics")
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return err == nil && strings.Contains(string(b), "\netcd_server_is_leader 1\n")
}

// Healthy reports whether all members run, have a leader and answer.
func (c *Cluster) Healthy() bool {
	ctx, cancel := context.WithTimeout(context.Background(), client.Timeout)
	defer cancel()
	return !slices.ContainsFunc(c.Members, func(m *Member) bool { return m.p == nil || !m.healthy(ctx) })
}
