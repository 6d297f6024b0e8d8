// Options of a leaf, and what is refused before anything is started.

package leaf

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/access"
	"github.com/tidepool-proxy/tidepool/leaf/command"
)

// Options configure a Leaf, and of them Memory, MaxItem, Exec, Conns and Now a Local. The zero value of each field but Name
// is usable.
type Options struct {
	Name   string // [a-z0-9-]{1,63}; also the embedded server's name
	Listen string // host:port of the embedded server. "": 127.0.0.1:0. Port 0: the kernel chooses.
	NATS   string // URLs, with commas between, of a NATS system to join instead of embedding a server. Listen is then unused.

	Memory  int64                                  // bytes for items; 0: the store's default
	MaxItem int                                    // largest value in bytes; 0: 1 MiB
	Exec    func(r *mc.Request, dst []byte) []byte // executes one request; nil: a Local of the leaf's own
	Now     func() time.Time                       // clock; nil: time.Now
	Conns   func() command.Conns                   // told by stats: connections, if the owner knows of any; nil: none are known
	Log     *slog.Logger                           // nil: nothing is logged
	Random  func() uint64                          // the instance number; nil: crypto/rand. 0 is drawn again.

	Lanes      int // subscriptions, each executing its frames in order; 0: one for two processors, 1 to 8
	MaxPayload int // largest NATS message of the embedded server, in bytes; 0: 8 MiB
	Window     int // bytes of answers that one proxy may leave unacknowledged; 0: 16 MiB
	MaxPending int // bytes of requests that wait here, of all proxies (half of it: of one), and as many of memberships; 0: 64 MiB
	MaxProxies int // proxies (reply subjects) known at one time; 0: 4096

	TLS      *tls.Config   // for the embedded server's listener, or the NATS system that is joined
	User     string        // with Password: what clients of the embedded server must present, and what is
	Password string        // presented to NATS
	Token    string        // the same, as one token
	Insecure bool          // allows a listener outside loopback to which anybody may connect
	Settle   time.Duration // how long another leaf of this name has to answer, with NATS; 0: 500 ms
	Handover time.Duration // how long one that is ending may take for it when this one starts; 0: 6 s, more than a drain takes
	Rivals   time.Duration // how often another leaf of this name is looked for while this one serves; 0: 10 s

	Users     []access.User // who may connect to the embedded server, besides User
	NKeys     []string      // public user nkeys that may, too
	Advertise string        // host:port that the embedded server tells to NATS clients; "": as Listen says
	Cluster   Cluster       // routes to other leaves' servers
	Connect   []nats.Option // what is presented to a NATS system that is joined, and wanted of it

	// LameDuck is over how long Close lets go of who is still connected to the embedded server then: nats-server's lame duck mode tells them, and
	// closes one connection after the other. 0: all at once.
	LameDuck time.Duration

	Recover Recover // whose items to take at the start

	// Epoch is the membership epoch of its pool that is known at the start, such as etcd tells it. What went by an older one is
	// refused from the first frame on: a leaf that was restarted has forgotten what its predecessor refused. 0: none.
	Epoch uint64

	stats func(dst []byte, sub string) ([]byte, bool) // the leaf's own lines

	self nkeys.KeyPair // the leaf's own, where Users or NKeys are wanted
}

const (
	defaultMemory     = 64 << 20 // the store's
	defaultMaxItem    = 1 << 20
	defaultMaxPayload = 8 << 20
	defaultWindow     = 16 << 20
	defaultMaxPending = 64 << 20
	defaultMaxProxies = 4096
	defaultSettle     = 500 * time.Millisecond
	defaultHandover   = drainLimit + time.Second
	defaultRivals     = 10 * time.Second

	maxLanes   = 64
	minPayload = 4 * frame.Slack // below, messages would be little but what is kept free in them
)

var nameRule = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// mutual: who connects must show a certificate that has been signed by an authority of ours.
func mutual(c *tls.Config) bool { return c != nil && c.ClientAuth == tls.RequireAndVerifyClientCert }

// ValidName reports whether name may be a leaf's. Names are tokens of NATS subjects, so nothing else is let in.
func ValidName(name string) bool { return nameRule.MatchString(name) }

// withDefaults fills what is zero and refuses what cannot work.
func (o Options) withDefaults() (Options, error) {
	if !ValidName(o.Name) {
		return o, fmt.Errorf("leaf name %q: want [a-z0-9-]{1,63}", o.Name)
	}
	if o.Lanes == 0 {
		o.Lanes = min(max(runtime.GOMAXPROCS(0)/2, 1), 8)
	}
	if o.Lanes < 1 || o.Lanes > maxLanes {
		return o, fmt.Errorf("leaf lanes %d: want 1 to %d", o.Lanes, maxLanes)
	}
	def(&o.MaxItem, defaultMaxItem)
	def(&o.MaxPayload, defaultMaxPayload)
	def(&o.Window, defaultWindow)
	def(&o.MaxPending, defaultMaxPending)
	def(&o.MaxProxies, defaultMaxProxies)
	def(&o.Settle, defaultSettle)
	def(&o.Handover, defaultHandover)
	def(&o.Rivals, defaultRivals)
	if o.MaxPayload < minPayload {
		return o, fmt.Errorf("leaf max payload %d: want at least %d", o.MaxPayload, minPayload)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = randomInstance
	}
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if err := o.checkAccess(); err != nil {
		return o, err
	}
	if err := o.checkRecover(); err != nil {
		return o, err
	}
	if err := o.identify(); err != nil {
		return o, fmt.Errorf("cannot make an nkey: %w", err)
	}
	return o, o.checkListen()
}

func def[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// ErrInsecure: whoever reaches the listener could connect.
var ErrInsecure = errors.New("not on loopback, and nothing says who may connect (--insecure allows it)")

// checkListen refuses an address that strangers reach, unless they are kept out or it is Insecure. TLS keeps out only who must show a
// certificate.
func (o *Options) checkListen() error {
	if o.NATS != "" {
		return nil
	}
	host, _, err := o.hostPort()
	if err != nil {
		return err
	}
	if o.Insecure || mutual(o.TLS) || o.User != "" || o.Token != "" || o.identified() || loopback(host) {
		return nil
	}
	return fmt.Errorf("cannot listen on %q: %w: want users, nkeys or an authority for clients' certificates", o.Listen, ErrInsecure)
}

func (o *Options) hostPort() (string, int, error) { return hostPort(o.Listen) }

func hostPort(listen string) (string, int, error) {
	host, p, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, fmt.Errorf("cannot listen on %q: %w", listen, err)
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("cannot listen on %q: bad port", listen)
	}
	return host, int(port), nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
