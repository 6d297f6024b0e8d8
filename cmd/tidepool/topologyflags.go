// The flags that say where discovered pools have their members from, and the topology made of them.

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/engine/topo"
	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend/leafnats"
)

// topologyFlags are those of commands that run a proxy.
type topologyFlags struct {
	file     string
	interval time.Duration
	away     time.Duration
}

func (f *topologyFlags) add(fs *pflag.FlagSet) {
	addTopologyFile(fs, &f.file)
	fs.DurationVar(&f.interval, "dns-interval", 5*time.Second, "how often names are resolved again that pools are discovered by")
	fs.DurationVar(&f.away, "unreachable-after", time.Second, "with --etcd: how long every proxy has to miss a leaf before its keys go to others; 0: its lease is waited for")
}

func addTopologyFile(fs *pflag.FlagSet, file *string) {
	fs.StringVar(file, "topology", "", "`file` that says which members discovered pools have, as JSON; read again when it has changed")
}

// problem says what cannot be meant, or "".
func (f *topologyFlags) problem() string {
	if f.interval < 100*time.Millisecond {
		return fmt.Sprintf("invalid argument %q for \"--dns-interval\" flag: want at least 100ms", f.interval)
	}
	if f.away < 0 {
		return fmt.Sprintf("invalid argument %q for \"--unreachable-after\" flag: want at least 0", f.away)
	}
	return ""
}

// unreachableAfter is the engine's option.
func (f *topologyFlags) unreachableAfter() time.Duration {
	if f.away == 0 {
		return -1
	}
	return f.away
}

// open gives the topology. first is etcd, nil where there is none. A file that cannot be read now is an error; later it is not.
func (f *topologyFlags) open(first topo.Source, a leafnats.Access, log *slog.Logger) (*topo.Set, error) {
	o := topo.SetOptions{First: first, Probe: prober(a), Interval: f.interval, Log: log}
	if f.file != "" {
		if err := checkTopology(f.file); err != nil {
			return nil, err
		}
		o.First = topo.NewFile(f.file, topo.FileOptions{Log: log})
	}
	return topo.NewSet(o), nil
}

// checkTopology reads a file as a proxy would.
func checkTopology(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read topology: %w", err)
	}
	_, err = topo.ParseFile(text, path)
	return err
}

// offline is a topology for commands that connect to nothing: a file's, once. nil without a file.
func offlineTopology(path string) (topo.Source, error) {
	if path == "" {
		return nil, nil
	}
	if err := checkTopology(path); err != nil {
		return nil, err
	}
	return topo.NewFile(path, topo.FileOptions{}), nil
}

// prober asks members whether they are there, over connections of their own: their backends may not be up yet, or be overloaded.
func prober(a leafnats.Access) topo.Probe {
	return func(ctx context.Context, m topo.Member) bool {
		addr, err := pools.ParseAddr(m.Addr)
		switch {
		case err != nil:
			return false
		case addr.Kind == pools.Leaf:
			return leafAnswers(ctx, addr.URL(), a)
		}
		return memcachedAnswers(ctx, addr)
	}
}

func leafAnswers(ctx context.Context, url string, a leafnats.Access) bool {
	var opts []nats.Option
	if end, ok := ctx.Deadline(); ok {
		opts = append(opts, nats.Timeout(max(time.Until(end), time.Millisecond)))
	}
	nc, name, err := leafnats.Dial(url, a, opts...)
	if err != nil {
		return false
	}
	defer nc.Close()
	ask, _ := json.Marshal(&frame.HelloRequest{})
	m, err := nc.RequestWithContext(ctx, frame.HelloSubject(name), ask)
	if err != nil {
		return false
	}
	var r frame.HelloReply
	return json.Unmarshal(m.Data, &r) == nil && r.Name == name && r.State != frame.StateDraining
}

// memcachedAnswers reports whether anything comes back: with TLS, what is said is an alert.
func memcachedAnswers(ctx context.Context, addr pools.Address) bool {
	network, at := "tcp", net.JoinHostPort(addr.Host, addr.Port)
	if addr.Path != "" {
		network, at = "unix", addr.Path
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, at)
	if err != nil {
		return false
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := conn.Write([]byte("version\r\n")); err != nil {
		return false
	}
	n, _ := conn.Read(make([]byte, 1))
	return n > 0
}
