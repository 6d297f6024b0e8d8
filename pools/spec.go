// Spec: all that makes one backend that backend, and not another.

package pools

import (
	"errors"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Spec describes a backend. Two equal Specs are one backend with one set of connections; it is comparable for that.
// The zero value of every field but Addr is memcached's proxy's default.
type Spec struct {
	Addr    Address
	Label   string // what people see it as; never hashed. "": the address, or the leaf's name
	Prefix  string // a pool's beprefix: pools with different prefixes share no connections
	Workers int    // of the memcached kind: so many sets of Connections, one for each worker (iothread = false). 0: one, for all

	Connections    int              // connections to a memcached server, 1 to 8. 0: 1
	ConnectTimeout time.Duration    // 0: 5 s
	ReadTimeout    time.Duration    // longest silence while answers are due (memcached), a request's deadline (leaf). 0: 3 s
	RetryWait      time.Duration    // between going bad and the probe. 0: 3 s
	FailureLimit   int              // failures in a row that are tolerated. 0: 3. backend.NoTolerance: none
	DepthLimit     int              // a request that finds more than this queued on its connection is refused. 0: off
	FlapTime       time.Duration    // 0: off
	FlapRamp       float64          // 0: 1.5
	FlapMax        time.Duration    // 0: 1 h
	KeepAlive      bool             // TCP keepalive
	TLS            backend.TLS      // for the memcached kind; leaves have tls:// addresses
	Log            backend.LogRule  // which requests are reported
	FlushOnReturn  bool             // emptied when it comes back after it has missed a write
	Down           bool             // never connects; every request fails
	Multiget       backend.Multiget // of the memcached kind
	AnyKey         bool             // scripts look at keys in answers: see memcached.Options
}

// Limits of a Spec, upstream's.
const (
	maxConnections = 8
	maxLabel       = 511
	maxHost        = 254
	maxPort        = 5
)

// Validate reports what cannot be, in memcached's proxy's words where it has them.
func (s *Spec) Validate() error {
	switch {
	case s.Addr == Address{}:
		return errors.New("backend must have a host argument")
	case len(s.Label) > maxLabel:
		return errors.New("backend label too long")
	case len(s.Addr.Host) > maxHost || len(s.Addr.Path) > maxHost:
		return errors.New("backend name too long")
	case len(s.Addr.Port) > maxPort:
		return errors.New("backend port too long")
	case s.Connections < 0:
		return errors.New("backend connections argument must be >= 0")
	case s.Connections > maxConnections:
		return errors.New("backend connections argument must be <= 8")
	case s.TLS.On && s.Addr.Kind == Leaf:
		return errors.New("tls = true is for memcached servers; a leaf's address begins with tls://")
	case s.FailureLimit < backend.NoTolerance:
		return errors.New("failurelimit must be >= 0")
	case s.DepthLimit < 0:
		return errors.New("depthlimit must be >= 0")
	case s.ConnectTimeout < 0, s.ReadTimeout < 0, s.RetryWait < 0, s.FlapTime < 0, s.FlapMax < 0, s.FlapRamp < 0:
		return errors.New("backend times must be >= 0")
	case s.Log.Deadline < 0:
		return errors.New("backend log deadline must be >= 0")
	case s.Log.Rate < 0:
		return errors.New("backend log sample rate must be >= 0")
	}
	return s.TLS.Validate()
}

// Name is what people see: the label, the leaf's name or the address.
func (s *Spec) Name() string {
	switch {
	case s.Label != "":
		return s.Label
	case s.Addr.Name != "":
		return s.Addr.Name
	}
	return s.Addr.String()
}
