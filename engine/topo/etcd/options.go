// Options, and how etcd is reached.

package etcd

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/tidepool-proxy/tidepool/engine/topo"
)

// Options say where etcd is and how memberships are decided. What is left out has a default; Endpoints has none.
type Options struct {
	Endpoints []string // host:port, http://host:port or https://host:port
	Prefix    string   // of all keys. "": /tidepool
	Config    string   // the key of the configuration, without the prefix. "": config
	Cert, Key string   // PEM files of the client's certificate, read again at each connect. "": none
	CA        string   // PEM file of who signs etcd's certificates. "": the system's
	User      string   // "": etcd has no users
	Password  string

	LeaseTTL     time.Duration // for how long a registration outlives its process; whole seconds. 0: 5 s
	DialTimeout  time.Duration // for a connect and for each request. 0: 2 s
	CheckEvery   time.Duration // how often it is asked whether the watch has told everything. 0: 2 s
	StaleAfter   time.Duration // how long after the start etcd is waited for before what is on disk is told. 0: 1 s
	WarmFor      time.Duration // how long previous owners are asked. 0: 1 minute; less: never
	GuardShare   float64       // more than this share of a pool lost at once is looked into. 0: a third
	GuardWindow  time.Duration // what is lost within it is lost at once. 0: 1 minute
	ProbeTimeout time.Duration // for one call of Probe. 0: 1 s
	TidyAfter    time.Duration // for how long a pool without leaves is remembered. 0: a day
	StateDir     string        // where the last memberships are kept. "": nowhere

	Proxy *Proxy                                        // this process is a proxy. nil: it decides nothing, and hears of memberships alone
	Probe func(ctx context.Context, m topo.Member) bool // whether m answers hello. nil: nobody does, and losses are believed

	Now  func() time.Time // nil: time.Now
	Rand func() float64   // in [0, 1), for jitter. nil: math/rand's
	Log  *slog.Logger     // nil: none

	pace           time.Duration // between two writes of the proxy's own key. 0: 0.1 s
	quiet, longest time.Duration // a pool's first document is decided when no leaf has come for quiet, or longest after the first. 0: 0.5 s, 3 s
}

// Proxy is how a proxy is known to others.
type Proxy struct {
	ID      string // unique. "": made up
	Name    string // for people
	Admin   string // its admin address
	Version string
}

const (
	defaultPrefix = "/tidepool"
	maxBackoff    = 2 * time.Second       // between attempts to reach etcd
	gather        = 50 * time.Millisecond // changes that come within it are decided as one
)

// withDefaults gives o with every default filled in, or what is wrong with it.
func (o Options) withDefaults() (Options, error) {
	if len(o.Endpoints) == 0 {
		return o, errors.New("etcd: no endpoints")
	}
	for _, e := range o.Endpoints {
		scheme, rest, found := strings.Cut(e, "://")
		if !found {
			scheme, rest = "http", e
		}
		host, port, err := net.SplitHostPort(rest)
		number, errPort := strconv.ParseUint(port, 10, 16)
		if err != nil || errPort != nil || host == "" || number == 0 || strings.ContainsAny(host, "/@ ") || scheme != "http" && scheme != "https" {
			return o, fmt.Errorf("etcd endpoint %q: want host:port, http://host:port or https://host:port", e)
		}
	}
	o.Prefix = "/" + strings.Trim(cmp.Or(o.Prefix, defaultPrefix), "/")
	if o.Prefix == "/" {
		return o, errors.New("etcd prefix: want a name, as in /tidepool")
	}
	o.Config = cmp.Or(o.Config, defaultConfig)
	if foldered(o.Config) || strings.Trim(o.Config, "/") != o.Config {
		return o, fmt.Errorf("etcd: the key %q cannot hold a configuration: it is the place of something else", o.Prefix+"/"+o.Config)
	}
	if (o.Cert == "") != (o.Key == "") {
		return o, errors.New("etcd: a certificate and its key go together")
	}
	if (o.User == "") != (o.Password == "") {
		return o, errors.New("etcd: a user and a password go together")
	}
	o.LeaseTTL = max(cmp.Or(o.LeaseTTL, 5*time.Second), time.Second).Round(time.Second)
	o.DialTimeout = cmp.Or(o.DialTimeout, 2*time.Second)
	o.CheckEvery = cmp.Or(o.CheckEvery, 2*time.Second)
	o.StaleAfter = cmp.Or(o.StaleAfter, time.Second)
	o.WarmFor = max(cmp.Or(o.WarmFor, time.Minute), 0)
	o.GuardShare = cmp.Or(o.GuardShare, 1.0/3)
	o.GuardWindow = cmp.Or(o.GuardWindow, time.Minute)
	o.ProbeTimeout = cmp.Or(o.ProbeTimeout, time.Second)
	o.TidyAfter = cmp.Or(o.TidyAfter, 24*time.Hour)
	o.pace = cmp.Or(o.pace, reportPace)
	o.quiet, o.longest = cmp.Or(o.quiet, 500*time.Millisecond), cmp.Or(o.longest, 3*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Proxy != nil {
		p := *o.Proxy
		if p.ID == "" {
			host, _ := os.Hostname()
			p.ID = fmt.Sprintf("%s-%08x", cmp.Or(host, "proxy"), uint32(o.Rand()*(1<<32)))
		}
		if strings.ContainsAny(p.ID, "/\x00") {
			return o, fmt.Errorf("proxy id %q: it cannot hold a slash", p.ID)
		}
		o.Proxy = &p
	}
	return o, nil
}

// tls gives the TLS configuration; nil: plain TCP.
func (o *Options) tls() (*tls.Config, error) {
	secure := o.Cert != "" || o.CA != ""
	for _, e := range o.Endpoints {
		secure = secure || strings.HasPrefix(e, "https://")
	}
	if !secure {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CA != "" {
		pem, err := os.ReadFile(o.CA)
		if err != nil {
			return nil, fmt.Errorf("cannot read etcd's authorities: %w", err)
		}
		if c.RootCAs = x509.NewCertPool(); !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cannot read etcd's authorities: no certificate in %q", o.CA)
		}
	}
	if o.Cert != "" {
		load := func() (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
			return &pair, err
		}
		if _, err := load(); err != nil {
			return nil, fmt.Errorf("cannot use certificate %q with key %q for etcd: %w", o.Cert, o.Key, err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	}
	return c, nil
}

// clients are what etcd is spoken to with.
type clients struct {
	*clientv3.Client
	tokens *clientv3.Client // by which tokens are fetched; nil: etcd has no users
}

func (c *clients) SetEndpoints(to ...string) {
	c.Client.SetEndpoints(to...)
	if c.tokens != nil {
		c.tokens.SetEndpoints(to...)
	}
}

func (c *clients) Close() error {
	if c.tokens != nil {
		_ = c.tokens.Close()
	}
	return c.Client.Close()
}

// dial makes a client. Without users it waits for nothing; with users it fetches a token, for DialTimeout at most.
//
// Tokens are fetched over a connection that shows none: an etcd before 3.5 refuses to authenticate who shows one that has run out, or that it has
// forgotten in a restart, and the client would try for ever.
func (o *Options) dial(ctx context.Context, secure *tls.Config) (*clients, error) {
	config := clientv3.Config{
		Context: ctx, Endpoints: o.Endpoints, TLS: secure,
		DialTimeout: o.DialTimeout, DialKeepAliveTime: 10 * time.Second, DialKeepAliveTimeout: 3 * time.Second, // gRPC allows no less than 10 s
		Logger: zap.NewNop(), // it would write to stderr; what matters comes back as errors
		DialOptions: []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxBackoff},
			MinConnectTimeout: o.DialTimeout,
		})},
	}
	c, err := clientv3.New(config)
	if o.User == "" || err != nil {
		return &clients{Client: c}, err
	}
	tokens := c.ActiveConnection()
	config.Username, config.Password = o.User, o.Password
	config.DialOptions = append(config.DialOptions, grpc.WithChainUnaryInterceptor(
		func(ctx context.Context, method string, req, answer any, cc *grpc.ClientConn, next grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			if method == etcdserverpb.Auth_Authenticate_FullMethodName {
				return tokens.Invoke(ctx, method, req, answer, opts...)
			}
			return next(ctx, method, req, answer, cc, opts...)
		}))
	with, err := clientv3.New(config)
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return &clients{Client: with, tokens: c}, nil
}
