// Clients: one request after the other, through a proxy's pool.

package warm

import (
	"fmt"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Client is a connection's place in a pool: its requests keep their order at each leaf. It belongs to one goroutine.
type Client struct {
	p    *Proxy
	lane uint32
	done chan *backend.Pending
}

// Client gives one.
func (p *Proxy) Client(lane int) *Client {
	return &Client{p: p, lane: uint32(lane), done: make(chan *backend.Pending, 1)}
}

// Done implements backend.Waiter.
func (c *Client) Done(p *backend.Pending) bool {
	c.done <- p
	return false
}

// Wake implements backend.Waiter.
func (c *Client) Wake() {}

// Do sends a request and gives the whole answer.
func (c *Client) Do(request string) (string, error) {
	var parser mc.Parser
	var r mc.Request
	if _, _, err := parser.Next([]byte(request), &mc.Rules{}, &r); err != nil || r.Bad != mc.BadNone {
		return "", fmt.Errorf("cannot read request %q: %v %v", request, err, r.Bad)
	}
	p := backend.NewPending()
	p.Waiter, p.Lane, p.Start = c, c.lane, backend.Now()
	c.p.Pool.Send(&r, p)
	p = <-c.done
	defer p.Release()
	if p.Err != nil {
		return "", p.Err
	}
	return string(p.Resp.Raw), nil
}
