// Clusters: routes between the embedded nats-servers of leaves, so that one connection of a proxy reaches all of them.

package leaf

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// Cluster makes the embedded servers of several leaves one NATS system. In the zero value the server is on its own.
type Cluster struct {
	Name      string      // the same at all; "": tidepool
	Listen    string      // host:port for routes of others; "": no cluster. Port 0: the kernel chooses.
	Advertise string      // host:port that others are told to find this one at; "": as Listen says, unless that is every address
	Routes    []string    // host:port, or nats://host:port, of some others. Those that they know are found by themselves.
	Password  string      // what routes present to each other, the same at all; "": nothing
	TLS       *tls.Config // of both ends of a route; nil: none
}

const (
	defaultCluster = "tidepool"
	routeUser      = "tidepool" // NATS wants a name to go with the password

	// routeRetries is how often a server is looked for, about once a second, that others told of: those in Routes are looked for
	// always. One that was replaced by another at a new address is forgotten some time.
	routeRetries = 600

	// routePing is how often the other end of a route is asked whether it is there. NATS asks every 30 s at most, and gives up after two.
	routePing = 3 * time.Second
)

// check refuses what cannot work or is open to strangers, who could be a leaf then. Certificates must be wanted of both ends: one that
// only encrypts lets everybody in.
func (c *Cluster) check(o *Options) error {
	if c.Listen == "" {
		if len(c.Routes) > 0 {
			return errors.New("routes to other leaves want an address where those reach this one")
		}
		return nil
	}
	if o.NATS != "" {
		return errors.New("a leaf that joins a NATS system has no routes of its own")
	}
	host, _, err := hostPort(c.Listen)
	if err != nil {
		return err
	}
	if strings.Contains(c.Name, " ") {
		return fmt.Errorf("cluster name %q holds a space", c.Name)
	}
	if !o.Insecure && !mutual(c.TLS) && c.Password == "" && !loopback(host) {
		return fmt.Errorf("cannot listen for routes on %q: %w: want certificates or a cluster's password", c.Listen, ErrInsecure)
	}
	for _, r := range c.Routes {
		if _, err := c.route(r); err != nil {
			return err
		}
	}
	return nil
}

// route reads one of Routes.
func (c *Cluster) route(s string) (*url.URL, error) {
	hp := strings.TrimPrefix(s, "nats://")
	if strings.Contains(hp, "@") {
		return nil, errors.New("a route's address holds a password: want it in the cluster's password") // which is not quoted
	}
	host, port, err := net.SplitHostPort(hp)
	if err != nil || host == "" || port == "" || strings.Contains(host, "/") {
		return nil, fmt.Errorf("route %q: want host:port", s)
	}
	u := &url.URL{Scheme: "nats", Host: hp}
	if c.Password != "" {
		u.User = url.UserPassword(routeUser, c.Password)
	}
	return u, nil
}

// options is c in nats-server's words. check has been through it.
func (c *Cluster) options() (o server.ClusterOpts, routes []*url.URL) {
	host, port, _ := hostPort(c.Listen)
	o = server.ClusterOpts{
		Name: c.Name, Host: host, Port: serverPort(port), Advertise: c.Advertise, TLSConfig: c.TLS, ConnectRetries: routeRetries,
		PingInterval: routePing,
	}
	if o.Name == "" {
		o.Name = defaultCluster
	}
	if ip := net.ParseIP(host); o.Advertise == "" && host != "" && !ip.IsUnspecified() {
		// Others would be told of the address that a connection comes from, and this machine may have more of them.
		o.Advertise = c.Listen // a port 0 in it is the one that the kernel chooses
	}
	if c.Password != "" {
		o.Username, o.Password = routeUser, c.Password
	}
	for _, r := range c.Routes {
		u, _ := c.route(r)
		routes = append(routes, u)
	}
	return o, routes
}

// ClusterAddr is host:port where routes of other leaves are accepted; "" without a cluster.
func (l *Leaf) ClusterAddr() string {
	if l.srv == nil {
		return ""
	}
	if a := l.srv.ClusterAddr(); a != nil {
		return a.String()
	}
	return ""
}

// Routes is to how many other servers there are routes.
func (l *Leaf) Routes() int { return len(l.remotes()) }

// remotes are the leaves to whose servers there are routes, by name.
func (l *Leaf) remotes() (names []string) {
	if l.srv == nil || l.o.Cluster.Listen == "" {
		return nil
	}
	rz, err := l.srv.Routez(nil)
	if err != nil {
		return nil
	}
	names = []string{}
	for _, r := range rz.Routes {
		names = append(names, r.RemoteName)
	}
	slices.Sort(names)
	return slices.Compact(names) // several connections make one route
}

// tellRoutes logs which routes there are, if that has changed; with none, once that they were asked for in vain. nats-server tells of
// attempts, and not at both ends. The janitor calls it.
func (l *Leaf) tellRoutes() {
	now := l.remotes()
	lost := slices.DeleteFunc(slices.Clone(l.routed), func(name string) bool { return slices.Contains(now, name) })
	alone := len(now) == 0 && len(l.o.Cluster.Routes) > 0 && !l.alone
	switch {
	case len(lost) > 0:
		l.o.Log.Warn("leaf: routes to other leaves lost", "leaf", l.o.Name, "lost", lost, "routes", now)
	case len(now) > len(l.routed):
		l.o.Log.Info("leaf: routes to other leaves", "leaf", l.o.Name, "routes", now)
	case alone:
		l.o.Log.Warn("leaf: no route to another leaf yet", "leaf", l.o.Name, "tried", l.o.Cluster.Routes)
	}
	l.routed, l.alone = now, l.alone || alone
}

// relaySubject is where the leaves of a cluster are asked to ask for a leaf's name. Servers of one name make no route to each other,
// so that two leaves of one name would not hear of each other, but all others would hear of both. No leaf can be called _.
const relaySubject = "tp.1._.hello"

const (
	relayTime = time.Second // how long answers are waited for
	maxRelays = 1000        // at one time: anybody who is let in may ask. 250 leaves that start at once ask so often.
)

// relay says hello to the leaf that is asked for and passes on who answers. What it does is over when it returns but for the answers.
func (l *Leaf) relay(m *nats.Msg) {
	name, to := string(m.Data), m.Reply
	if to == "" || !ValidName(name) {
		l.count.dropped.Add(1)
		return
	}
	if l.relays.Add(1) > maxRelays {
		l.relays.Add(-1)
		l.count.dropped.Add(1) // there are other leaves to ask
		return
	}
	inbox := l.nc.NewInbox()
	sub, err := l.nc.Subscribe(inbox, func(a *nats.Msg) { _ = l.nc.Publish(to, a.Data) }) // it is asked for more than once
	if err != nil {
		l.relays.Add(-1)
		return
	}
	_ = l.nc.PublishRequest(frame.HelloSubject(name), inbox, []byte("{}"))
	time.AfterFunc(relayTime, func() {
		_ = sub.Unsubscribe()
		l.relays.Add(-1)
	})
}
