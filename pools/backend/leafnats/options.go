// Options of a backend, and its address.

package leafnats

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Options describe a leaf and how it is reached. The zero value of everything but URL is usable.
type Options struct {
	// URL is nats://[user:password@]host:port, or the same with /name: then it is LeafName. More servers may follow the first,
	// after commas, if there is a name. tls:// refuses servers without TLS. Who is named in it is presented in place of Access.Auth.
	URL      string
	LeafName string // the leaf's name; "": that of the server at URL, learned when connected
	Label    string // what people see. "": LeafName, or host:port
	Proxy    string // how the proxy calls itself to leaves, the same for all its backends. "": as Conns does

	Timeout        time.Duration // from Send to the answer. 0: 3 s
	ConnectTimeout time.Duration // 0: 5 s
	HelloInterval  time.Duration // 0: 1 s
	HelloLimit     time.Duration // a leaf that has not said hello for so long is down. 0: three HelloIntervals
	Health         backend.HealthOptions
	Down           bool // never connects; every request fails with ErrDown

	MaxInFlight int // bytes of requests queued or in flight; one more request is taken below it. 0: 16 MiB
	QueueLimit  int // requests queued or in flight. 0: 65536
	Window      int // bytes of answers that may be on their way here. 0: 16 MiB, less when many share a connection

	TLS     *tls.Config         // nil: as Access of Conns says
	Conns   *Conns              // shares NATS connections with other backends. nil: one of its own
	OnEvent func(backend.Event) // told of ups and downs; must not block or call the Backend. nil: nobody
	Log     *slog.Logger        // of what no event tells. nil: nothing is logged

	target target // URL, read
}

const (
	defaultTimeout        = 3 * time.Second
	defaultConnectTimeout = 5 * time.Second
	defaultHelloInterval  = time.Second
	defaultMaxInFlight    = 16 << 20
	defaultQueueLimit     = 65536
	defaultWindow         = 16 << 20
	minWindow             = 256 << 10

	// minPayload is the smallest max_payload of a server that is of use, in bytes.
	minPayload = 4 * frame.Slack
)

func (o Options) withDefaults() (Options, error) {
	t, err := parseTarget(o.URL)
	if err != nil {
		return o, err
	}
	if t.name != "" && o.LeafName == "" {
		o.LeafName = t.name
	}
	if len(t.hosts) > 1 && o.LeafName == "" {
		return o, fmt.Errorf("cannot read leaf address %q: several servers want a leaf's name after them", t)
	}
	t.name = ""
	o.target = t
	if o.LeafName != "" && !validName(o.LeafName) {
		return o, fmt.Errorf("leaf name %q: want [a-z0-9-]{1,63}", o.LeafName)
	}
	if o.Label == "" {
		o.Label = o.LeafName
	}
	if o.Label == "" {
		o.Label = o.hostPort()
	}
	setTo(&o.Timeout, defaultTimeout)
	setTo(&o.ConnectTimeout, defaultConnectTimeout)
	setTo(&o.HelloInterval, defaultHelloInterval)
	setTo(&o.HelloLimit, 3*o.HelloInterval)
	setTo(&o.MaxInFlight, defaultMaxInFlight)
	setTo(&o.QueueLimit, defaultQueueLimit)
	setTo(&o.Window, defaultWindow)
	if o.Health.Rand == nil && o.Health.Jitter == 0 {
		o.Health.Rand, o.Health.Jitter = rand.Float64, 0.1
	}
	if o.Conns == nil {
		o.Conns = NewConns(Access{})
	}
	if o.Proxy == "" {
		o.Proxy = o.Conns.proxy
	}
	if o.OnEvent == nil {
		o.OnEvent = func(backend.Event) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

func setTo[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// hostPort is the address for people.
func (o *Options) hostPort() string { return strings.Join(o.target.hosts, ",") }

// validName: what a leaf may be called.
func validName(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}
