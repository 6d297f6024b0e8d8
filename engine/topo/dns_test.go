// DNS as a source: who the members are, and what becomes of answers that are bad, empty or late.

package topo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseDNS(t *testing.T) {
	for from, want := range map[string]string{
		"dns://cache:11211":            "",
		"dns+nats://leaves:4301":       "",
		"srv://_memcache._tcp.x":       "",
		"srv+tls://_leaf._tcp.x.":      "",
		"file:/etc/topology.json":      "",
		"file:":                        "want file:PATH",
		"dns://cache":                  "want dns://host:port",
		"dns://cache:0":                `port "0"`,
		"dns://:11211":                 "want dns://host:port",
		"dns+memcached://cache:11211":  "want dns://host:port, srv://name",
		"srv://":                       "want the name of SRV records",
		"srv://_memcache._tcp.x:11211": "want the name of SRV records",
		"consul://x":                   "want dns://host:port, srv://name",
		"cache:11211":                  "want dns://host:port, srv://name",
	} {
		check(t, ParseFrom(from), want)
	}
}

// listed is members for people: "name=addr".
func listed(ms []Member) string {
	var list []string
	for _, m := range ms {
		list = append(list, m.Name+"="+m.Addr)
	}
	return strings.Join(list, " ")
}

func TestMembersOfDNS(t *testing.T) {
	server := startDNS(t)
	server.host("cache.test.", "10.0.0.2", "10.0.0.1", "2001:db8::1")
	server.srv("_leaf._tcp.leaves.test.", 4301, "leaf-1.leaves.test.", "Leaf-0.leaves.test.", "far.elsewhere.")
	server.srv("_odd._tcp.leaves.test.", 5000, "leaf-0.leaves.test.")
	long := strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + "."
	server.srv("_long._tcp.test.", 11211, long)
	server.srv("_twins._tcp.test.", 11211, "a-b.test.", "a.b.test.")
	for from, want := range map[string]string{
		"dns://cache.test:11211":            "10-0-0-1=10.0.0.1:11211 10-0-0-2=10.0.0.2:11211 2001-db8--1=[2001:db8::1]:11211",
		"dns+nats://cache.test:4400":        "10-0-0-1-4400=nats://10.0.0.1:4400 10-0-0-2-4400=nats://10.0.0.2:4400 2001-db8--1-4400=nats://[2001:db8::1]:4400",
		"srv+nats://_leaf._tcp.leaves.test": "far-elsewhere=nats://far.elsewhere:4301 leaf-0=nats://leaf-0.leaves.test:4301 leaf-1=nats://leaf-1.leaves.test:4301",
		"srv://_odd._tcp.leaves.test":       "leaf-0-5000=leaf-0.leaves.test:5000",
		"srv://_long._tcp.test":             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-0e75bb20bc584e2d=" + strings.TrimSuffix(long, ".") + ":11211",
		"srv://_twins._tcp.test":            `two addresses have one name: a-b.test:11211 and a.b.test:11211`,
		"srv://_none._tcp.test":             "no such host",
		"dns://none.test:1":                 "no such host",
	} {
		q, err := parseDNS(from)
		if err != nil {
			t.Fatal(err)
		}
		ms, err := q.resolve(t.Context(), server.resolver())
		if err != nil && strings.Contains(err.Error(), want) {
			continue
		}
		if got := listed(ms); err != nil || got != want {
			t.Errorf("%s\n gives %s (%v)\n want  %s", from, got, err, want)
		}
	}
}

// watched is a DNS whose one name is asked for by Refresh alone.
func watched(t *testing.T, server *dnsServer, ref string, probe Probe) (refresh func() error, told *[]string, d *DNS) {
	t.Helper()
	d = NewDNS(DNSOptions{Resolver: server.resolver(), Interval: time.Hour, Probe: probe})
	t.Cleanup(func() { d.Close() })
	told = new([]string)
	first := make(chan struct{}, 100)
	t.Cleanup(d.Watch(ref, func(s Snapshot) {
		if s.Pool != "users" || s.Epoch != 0 {
			t.Errorf("told %+v", s)
		}
		*told = append(*told, names(s.Members))
		first <- struct{}{}
	}))
	<-first
	return func() error {
		_, err := d.Refresh(t.Context(), ref)
		return err
	}, told, d
}

func TestDNSIsAskedAgain(t *testing.T) {
	server := startDNS(t)
	const name = "_leaf._tcp.leaves.test."
	server.srv(name, 4301, "a.leaves.test.", "b.leaves.test.", "c.leaves.test.")
	alive := "a b c d e"
	refresh, told, d := watched(t, server, "srv+nats://_leaf._tcp.leaves.test#users", func(_ context.Context, m Member) bool { return strings.Contains(alive, m.Name) })
	want := func(want ...string) {
		t.Helper()
		if !slices.Equal(*told, want) {
			t.Fatalf("told %q, want %q", *told, want)
		}
	}
	want("a b c")
	server.srv(name, 4301, "d.leaves.test.", "c.leaves.test.", "a.leaves.test.", "b.leaves.test.")
	check(t, refresh(), "")
	check(t, refresh(), "") // nothing new
	want("a b c", "a b c d")
	server.fail(true)
	check(t, refresh(), "cannot resolve")
	if st := d.Status(); st.Connected || !strings.Contains(st.LastError, "_leaf._tcp.leaves.test") {
		t.Errorf("status %+v", st)
	}
	server.fail(false)
	server.srv(name, 4301)
	check(t, refresh(), "cannot resolve")
	want("a b c", "a b c d")
	server.srv(name, 4301, "d.leaves.test.")
	check(t, refresh(), "") // three of four are not named, and answer
	want("a b c", "a b c d")
	if st := d.Status(); !st.Connected || st.LastError != "" || st.Refused != 1 || st.Changes != 2 {
		t.Errorf("status %+v", st)
	}
	alive = "b d"
	check(t, refresh(), "")
	want("a b c", "a b c d", "b d")
}

func TestDNSNameThatNobodyWatches(t *testing.T) {
	server := startDNS(t)
	server.host("cache.test.", "10.0.0.1")
	d := NewDNS(DNSOptions{Resolver: server.resolver()})
	defer d.Close()
	const ref = "dns://cache.test:11211#users"
	if _, err := d.Refresh(t.Context(), ref); !errors.Is(err, ErrUnknownPool) {
		t.Errorf("refresh: %v", err)
	}
	if server.questions() > 0 || d.used() {
		t.Error("DNS is asked for what nobody watches")
	}
	told := make(chan string, 10)
	tell := func(s Snapshot) { told <- names(s.Members) }
	one, two := d.Watch(ref, tell), d.Watch(ref, tell)
	if a, b := <-told, <-told; a != "10-0-0-1" || b != a {
		t.Errorf("told %q, %q", a, b)
	}
	one()
	if _, err := d.Refresh(t.Context(), ref); err != nil {
		t.Errorf("one watcher is left: %v", err)
	}
	two()
	if _, err := d.Refresh(t.Context(), ref); !errors.Is(err, ErrUnknownPool) {
		t.Errorf("nobody is left: %v", err)
	}
}

// fakeResolver answers at once, in a test's own time.
type fakeResolver struct {
	at    []time.Time
	fails int
}

func (r *fakeResolver) LookupHost(context.Context, string) ([]string, error) {
	r.at = append(r.at, time.Now())
	if r.fails--; r.fails >= 0 {
		return nil, errors.New("not now")
	}
	return []string{fmt.Sprintf("10.0.0.%d", len(r.at))}, nil
}

func (r *fakeResolver) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", nil, errors.New("not asked for")
}

// TestDNSInterval: a first answer is sought eagerly, later ones each interval, not all proxies at one moment.
func TestDNSInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeResolver{fails: 3}
		d := NewDNS(DNSOptions{Resolver: r, Interval: 10 * time.Second})
		told := make(chan string, 100)
		stop := d.Watch("dns://cache:11211#users", func(s Snapshot) { told <- names(s.Members) })
		begin := time.Now()
		if got := <-told; got != "10-0-0-4" || time.Since(begin) > time.Second {
			t.Errorf("told %q after %v", got, time.Since(begin))
		}
		for range 20 {
			<-told
		}
		stop()
		d.Close()
		gaps := map[time.Duration]bool{}
		for i := 4; i < len(r.at); i++ {
			gap := r.at[i].Sub(r.at[i-1])
			gaps[gap] = true
			if gap < 8*time.Second || gap > 12*time.Second {
				t.Errorf("asked after %v", gap)
			}
		}
		if len(gaps) < 2 {
			t.Error("always after the same time")
		}
	})
}

// TestDNSNameThatNeverWas: it is sought eagerly at first, and not for ever.
func TestDNSNameThatNeverWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &fakeResolver{fails: 1 << 20}
		d := NewDNS(DNSOptions{Resolver: r, Interval: 10 * time.Second})
		stop := d.Watch("dns://cache:11211#users", func(Snapshot) {})
		time.Sleep(time.Hour)
		stop()
		d.Close()
		if n := len(r.at); n < 3600/12 || n > 3600/8+10 {
			t.Errorf("asked %d times in an hour", n)
		}
	})
}
