package leafnats

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tidepool-proxy/tidepool/leaf"
)

func TestConversation(t *testing.T) {
	_, b := pair(t, leaf.Options{}, Options{})
	c := newClient(t, 7)
	for _, d := range [][2]string{
		{"get a\r\n", "END\r\n"},
		{"set a 5 0 3\r\nabc\r\n", "STORED\r\n"},
		{"get a\r\n", "VALUE a 5 3\r\nabc\r\nEND\r\n"},
		{"set a 0 0 1 noreply\r\nx\r\n", "STORED\r\n"}, // the leaf always answers
		{"mg a v\r\n", "VA 1\r\nx\r\n"},
		{"mg b v q\r\n", "EN\r\n"},
		{"incr n 1\r\n", "NOT_FOUND\r\n"},
		{"delete a\r\n", "DELETED\r\n"},
		{set("e", ""), "STORED\r\n"},
		{"get e\r\n", "VALUE e 0 0\r\n\r\nEND\r\n"},
	} {
		if got := c.do(b, d[0]); got != d[1] {
			t.Errorf("%q: got %q, want %q", d[0], got, d[1])
		}
	}
	s := b.Status()
	if !s.Up || s.Queued != 0 || s.Opened != 1 || s.Failures != 0 {
		t.Errorf("status %+v", s)
	}
}

// TestEveryAnswerIsItsRequests: many clients, pipelined; every value names the key and the round that stored it.
func TestEveryAnswerIsItsRequests(t *testing.T) {
	l, b := pair(t, leaf.Options{Lanes: 3}, Options{})
	const clients, rounds, depth = 16, 20, 16
	var wg sync.WaitGroup
	for n := range clients {
		wg.Go(func() {
			c := newClient(t, uint32(n))
			for round := range rounds {
				for i := range depth {
					key := fmt.Sprintf("k-%d-%d", n, i)
					value := strings.Repeat(fmt.Sprintf("%s/%d.", key, round), 1+i*n)
					c.send(b, 2*i, request(t, set(key, value)))
					c.send(b, 2*i+1, request(t, "get "+key+"\r\n"))
				}
				got := c.take(2 * depth)
				for i := range depth {
					key := fmt.Sprintf("k-%d-%d", n, i)
					value := strings.Repeat(fmt.Sprintf("%s/%d.", key, round), 1+i*n)
					if s := text(got[2*i]); s != "STORED\r\n" {
						t.Errorf("set %s: %q", key, s)
					}
					if s := text(got[2*i+1]); s != hit(key, value) {
						t.Errorf("get %s in round %d: %.60q", key, round, s)
					}
				}
			}
		})
	}
	wg.Wait()
	if s := l.Stats(); s.Frames >= s.Requests {
		t.Errorf("%d frames for %d requests: nothing was put together", s.Frames, s.Requests)
	}
}

// TestOrderOfOneClient: a client's commands are executed in the order in which it sent them.
func TestOrderOfOneClient(t *testing.T) {
	_, b := pair(t, leaf.Options{Lanes: 4}, Options{})
	const clients, n = 6, 300
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			c := newClient(t, uint32(i))
			key := fmt.Sprint("n", i)
			c.do(b, set(key, "0"))
			for j := range n {
				c.send(b, j, request(t, "incr "+key+" 1\r\n"))
			}
			got := c.take(n)
			for j := range n {
				if s := text(got[j]); s != fmt.Sprintf("%d\r\n", j+1) {
					t.Errorf("client %d, incr %d: %q", i, j+1, s)
					return
				}
			}
		})
	}
	wg.Wait()
}
