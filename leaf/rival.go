// Rivals: another leaf of this one's name. It is looked for before the leaf serves, which it then does not, and while it does.
//
// Two leaves of one name answer one proxy in turns, each with items of its own. One that serves is never ended for it: who of two is
// the right one only an operator knows, and both may have been right until a network healed. One that starts has nothing to lose.
//
// A predecessor that was killed cannot answer, however long NATS keeps its subscriptions or routes, so it is in nobody's way; one that
// is ending is waited for.

package leaf

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// ErrNameTaken: another leaf of this name answers.
var ErrNameTaken = errors.New("the name is taken: another leaf answers to it")

// rival is what is known of another leaf of this one's name.
type rival struct {
	instance uint64 // 0: it was not asked, its server has told its name
	state    string
	addr     string
}

func (r *rival) String() string {
	if r.instance == 0 {
		return "at " + r.addr
	}
	return fmt.Sprintf("instance %d, %s, at %s", r.instance, r.state, r.addr)
}

// staying reports whether it is known not to be ending.
func (r *rival) staying() bool { return r.instance != 0 && r.state != frame.StateDraining }

// unreachable reports whether nobody else can be heard here: an embedded server that was just started has no other clients, but for routes.
func (l *Leaf) unreachable() bool { return l.srv != nil && l.o.Cluster.Listen == "" }

// checkName is an error if another leaf answers to our name, and goes on doing so. We answer already, so of two that start at the
// same time the later to ask hears of the other, or both do: never will both start.
func (l *Leaf) checkName(ctx context.Context) error {
	if l.unreachable() {
		return nil
	}
	const asks = 4 // across a cluster the first may come before our interest in the answer
	give := time.Now().Add(l.o.Handover)
	for waits := false; ; waits = true {
		r, reached := l.serversOfName(ctx)
		if r == nil {
			if reached {
				l.awaitRoute(ctx)
			}
			var err error
			if r, err = l.askName(ctx, asks); err != nil || r == nil {
				return err
			}
		}
		if r.staying() || !time.Now().Before(give) {
			return fmt.Errorf("%w (%v)", ErrNameTaken, r)
		}
		if !waits {
			l.o.Log.Warn("leaf: another leaf has this name; waiting for it to end", "leaf", l.o.Name, "other", r.instance, "addr", r.addr)
		}
		if !pause(ctx, l.o.Settle/asks) {
			return ctx.Err()
		}
	}
}

// watchName tells of another leaf of our name that has come to be reached since this one started: by a route, say, that was broken then.
func (l *Leaf) watchName() {
	if l.unreachable() {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	l.done.Go(func() { <-l.quit; cancel() })
	t := time.NewTicker(l.o.Rivals)
	defer t.Stop()
	for there := false; ; {
		select {
		case <-t.C:
		case <-l.quit:
			return
		}
		r, err := l.askName(ctx, 1)
		if r == nil && len(l.remotes()) == 0 { // nobody who could ask for us
			r, _ = l.serversOfName(ctx)
		}
		switch {
		case r != nil && r.state != frame.StateDraining:
			there = true
			l.o.Log.Error("leaf: another leaf has this name: proxies reach now the one, now the other; end one of them", "leaf", l.o.Name,
				"instance", l.instance, "other", r.instance, "addr", r.addr)
		case r == nil && err == nil && there:
			there = false
			l.o.Log.Info("leaf: no other leaf has this name any more", "leaf", l.o.Name)
		}
	}
}

// askName asks several times who answers to our name, and gives the first who is not this leaf; nil if there is none.
func (l *Leaf) askName(ctx context.Context, times int) (*rival, error) {
	inbox := l.nc.NewInbox()
	sub, err := l.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("cannot ask for the name: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	for range times {
		if err := l.nc.PublishRequest(frame.HelloSubject(l.o.Name), inbox, []byte("{}")); err != nil {
			return nil, fmt.Errorf("cannot ask for the name: %w", err)
		}
		if l.srv != nil {
			_ = l.nc.PublishRequest(relaySubject, inbox, []byte(l.o.Name)) // as the one above went
		}
		if r, err := l.awaitRival(ctx, sub, l.o.Settle/time.Duration(times)); err != nil || r != nil {
			return r, err
		}
	}
	return nil, nil
}

// awaitRival gives somebody else who answers within that time.
func (l *Leaf) awaitRival(ctx context.Context, sub *nats.Subscription, d time.Duration) (*rival, error) {
	wait, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		m, err := sub.NextMsgWithContext(wait)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case wait.Err() != nil:
			return nil, nil
		case errors.Is(err, nats.ErrNoResponders):
			continue // others may be a route away
		case err != nil:
			return nil, fmt.Errorf("cannot ask for the name: %w", err)
		}
		var r frame.HelloReply
		if json.Unmarshal(m.Data, &r) == nil && r.Instance != l.instance {
			return &rival{r.Instance, r.State, r.Addr}, nil
		}
	}
}

// whereabouts is where the leaf is, for people who look for it.
func (l *Leaf) whereabouts() string {
	if l.srv == nil {
		if ip, err := l.nc.GetClientIP(); err == nil {
			return ip.String() + " through " + l.URL()
		}
	}
	return l.URL()
}

// awaitRoute returns when there is a route to another server, or it is long since there could be: without one nobody is asked.
func (l *Leaf) awaitRoute(ctx context.Context) {
	const limit, every = 2 * time.Second, 10 * time.Millisecond
	give := time.Now().Add(limit)
	for len(l.remotes()) == 0 && time.Now().Before(give) && pause(ctx, every) {
	}
}

// serversOfName looks who is at the addresses of our routes. Servers of one name make no route to each other, and where there are but
// two nobody else could ask for us. reached: another server is at one of them.
func (l *Leaf) serversOfName(ctx context.Context) (r *rival, reached bool) {
	if l.srv == nil || len(l.o.Cluster.Routes) == 0 {
		return nil, false
	}
	ctx, cancel := context.WithTimeout(ctx, l.o.Settle)
	defer cancel()
	type found struct {
		info *server.Info
		at   string
	}
	all := make(chan found, len(l.o.Cluster.Routes))
	for _, s := range l.o.Cluster.Routes {
		go func() {
			u, err := l.o.Cluster.route(s)
			if err != nil { // check had it
				all <- found{}
				return
			}
			info, _ := l.serverAt(ctx, u) // who does not answer is not there
			all <- found{info, u.Host}
		}()
	}
	for range l.o.Cluster.Routes {
		f := <-all
		switch {
		case f.info == nil || f.info.ID == l.srv.ID():
		case f.info.Name == l.o.Name:
			if urls := f.info.ClientConnectURLs; len(urls) > 0 {
				f.at = strings.Join(urls, ", ")
			}
			r = &rival{addr: f.at}
		default:
			reached = true
		}
	}
	return r, reached
}

// maxInfo bounds the line with which a server introduces itself, in bytes.
const maxInfo = 64 << 10

// serverAt is what the server at a route's address says of itself; it does so before it asks who we are.
func (l *Leaf) serverAt(ctx context.Context, u *url.URL) (*server.Info, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if until, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(until)
	}
	if config := l.routeTLS.Load(); config != nil {
		config = config.Clone()
		config.ServerName = u.Hostname()
		c = tls.Client(c, config)
	}
	line, err := bufio.NewReaderSize(c, maxInfo).ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	body, ok := strings.CutPrefix(string(line), "INFO ")
	info := &server.Info{}
	if !ok || json.Unmarshal([]byte(body), info) != nil {
		return nil, fmt.Errorf("%s says %.40q: want a nats-server", u.Host, line)
	}
	return info, nil
}
