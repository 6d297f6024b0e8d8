// Clients: one request after the other, or many at once, through a proxy's pool.

package warm

import (
	"fmt"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Client is a connection's place in a pool: its requests keep their order at each leaf. It belongs to one goroutine.
type Client struct {
	p      *Proxy
	lane   uint32
	done   chan *backend.Pending
	parser mc.Parser
}

// Answer is what came of a request.
type Answer struct {
	Text string // all of it
	Err  error
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
	if err := c.send(request, 0); err != nil {
		return "", err
	}
	_, a := c.take()
	return a.Text, a.Err
}

// All sends requests without waiting, and gives their answers.
func (c *Client) All(requests []string) []Answer {
	answers := make([]Answer, len(requests))
	c.done = make(chan *backend.Pending, len(requests))
	sent := 0
	for i, request := range requests {
		if answers[i].Err = c.send(request, i); answers[i].Err == nil {
			sent++
		}
	}
	for range sent {
		i, a := c.take()
		answers[i] = a
	}
	return answers
}

func (c *Client) send(request string, tag int) error {
	var r mc.Request
	if _, _, err := c.parser.Next([]byte(request), &mc.Rules{}, &r); err != nil || r.Bad != mc.BadNone {
		return fmt.Errorf("cannot read request %q: %v %v", request, err, r.Bad)
	}
	p := backend.NewPending()
	p.Waiter, p.Lane, p.Start, p.Tag = c, c.lane, backend.Now(), tag
	c.p.Pool.Send(&r, p)
	return nil
}

func (c *Client) take() (tag int, a Answer) {
	p := <-c.done
	defer p.Release()
	if p.Err != nil {
		return p.Tag, Answer{Err: p.Err}
	}
	return p.Tag, Answer{Text: string(p.Resp.Raw)}
}
