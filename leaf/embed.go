// What the embedded server is told of who may connect, at its start and again when that has changed.

package leaf

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/tidepool-proxy/tidepool/leaf/access"
)

// identified: clients of the embedded server must say who they are, in more ways than User or Token.
func (o *Options) identified() bool { return len(o.Users)+len(o.NKeys) > 0 }

// serverOptions is o in nats-server's words: no signal handlers, no JetStream.
func serverOptions(o *Options) (*server.Options, error) {
	host, port, err := o.hostPort()
	if err != nil {
		return nil, err
	}
	so := &server.Options{
		ServerName:      o.Name,
		Host:            host,
		Port:            serverPort(port),
		ClientAdvertise: o.Advertise,
		NoSigs:          true,
		NoLog:           true,
		MaxPayload:      int32(o.MaxPayload),
		MaxPending:      serverMaxPending,
		Authorization:   o.Token,
		TLS:             o.TLS != nil,
		TLSConfig:       o.TLS,

		LameDuckDuration: o.LameDuck, LameDuckGracePeriod: o.LameDuck / 4,
	}
	if o.TLS != nil {
		so.TLSTimeout = 5 // seconds, in place of 2: a machine that starts many leaves is busy
	}
	if o.identified() {
		err = addUsers(so, o)
	} else {
		so.Username, so.Password = o.User, o.Password
	}
	if o.Cluster.Listen != "" {
		so.Cluster, so.Routes = o.Cluster.options()
		so.ReconnectErrorReports = 60 // attempts, one a second, to make a route again
	}
	return so, err
}

// serverPort is a port in nats-server's words, where 0 is the usual one.
func serverPort(p int) int {
	if p == 0 {
		return server.RANDOM_PORT
	}
	return p
}

// addUsers lists who may connect, the leaf itself among them.
func addUsers(so *server.Options, o *Options) error {
	if o.User != "" {
		so.Users = append(so.Users, &server.User{Username: o.User, Password: o.Password})
	}
	for _, u := range o.Users {
		so.Users = append(so.Users, &server.User{Username: u.Name, Password: u.Password})
	}
	own, err := o.self.PublicKey()
	if err != nil {
		return fmt.Errorf("cannot use the leaf's own nkey: %w", err)
	}
	for _, k := range append(slices.Clip(o.NKeys), own) {
		so.Nkeys = append(so.Nkeys, &server.NkeyUser{Nkey: k})
	}
	return nil
}

// identify makes the nkey by which the leaf presents itself to a server of its own that wants to know everybody.
func (o *Options) identify() (err error) {
	if o.identified() {
		o.self, err = nkeys.CreateUser()
	}
	return err
}

// ownAuth presents the leaf to NATS.
func (o *Options) ownAuth(embedded bool) (opts []nats.Option) {
	switch {
	case !embedded:
		opts = append(opts, o.Connect...)
	case o.self != nil:
		own, err := o.self.PublicKey()
		if err != nil {
			panic(err) // serverOptions had it
		}
		return []nats.Option{nats.Nkey(own, o.self.Sign)}
	}
	if o.User != "" {
		opts = append(opts, nats.UserInfo(o.User, o.Password))
	}
	if o.Token != "" {
		opts = append(opts, nats.Token(o.Token))
	}
	return opts
}

// checkAccess refuses who may connect in ways that nats-server cannot have together.
func (o *Options) checkAccess() error {
	switch {
	case o.identified() && o.Token != "":
		return errors.New("a token cannot be had together with users or nkeys")
	case o.User != "" && slices.ContainsFunc(o.Users, func(u access.User) bool { return u.Name == o.User }):
		return fmt.Errorf("user %q is there twice", o.User)
	}
	return o.Cluster.check(o)
}

// Reload lets the embedded server take from o who may connect now: TLS, Users, NKeys, and TLS and Password of Cluster. Who may no
// longer is cut off; all others stay connected. A leaf that joined a NATS system has nothing to reload. Not to be called
// by two at once.
func (l *Leaf) Reload(o Options) error {
	if l.srv == nil {
		return nil
	}
	n := l.o
	n.TLS, n.Users, n.NKeys = o.TLS, o.Users, o.NKeys
	n.Cluster.TLS, n.Cluster.Password = o.Cluster.TLS, o.Cluster.Password
	err := n.checkAccess()
	if err == nil && (n.identified() != l.o.identified() || (n.TLS == nil) != (l.o.TLS == nil)) {
		err = errors.New("whether users and TLS are wanted is settled when the leaf starts")
	}
	if err == nil {
		var so *server.Options
		if so, err = serverOptions(&n); err == nil {
			err = l.srv.ReloadOptions(so)
		}
	}
	if err == nil {
		l.routeTLS.Store(n.Cluster.TLS)
	}
	if err != nil {
		return fmt.Errorf("cannot reload leaf %q: %w", l.o.Name, err)
	}
	return nil
}
