package leafnats

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/leaf"
)

// big is a value of n bytes, any bytes, that differ with the seed.
func big(n, seed int) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(b) // never fails
	return string(b)
}

// TestPartsBothWays: requests and answers larger than a NATS message may be.
func TestPartsBothWays(t *testing.T) {
	for _, c := range []struct{ payload, value int }{
		{0, 1 << 20},
		{0, 9 << 20},
		{0, 20 << 20},
		{16 << 10, 11 << 10},
		{16 << 10, 1 << 20}, // some 85 parts
		{64 << 10, 60<<10 - 48 - 30},
	} {
		t.Run(fmt.Sprintf("payload=%d,value=%d", c.payload, c.value), func(t *testing.T) {
			l, b := pair(t, leaf.Options{MaxItem: 32 << 20, Memory: 128 << 20, MaxPayload: c.payload}, Options{Timeout: patience, HelloLimit: patience, MaxInFlight: 64 << 20})
			cl := newClient(t, 1)
			cl.send(b, 0, request(t, set("before", "b")))
			cl.send(b, 1, request(t, set("k", big(c.value, 1))))
			cl.send(b, 2, request(t, "get k\r\n"))
			cl.send(b, 3, request(t, "get before\r\n"))
			cl.send(b, 4, request(t, "get k\r\n"))
			got := cl.take(5)
			for i, want := range []string{"STORED\r\n", "STORED\r\n", hit("k", big(c.value, 1)), hit("before", "b"), hit("k", big(c.value, 1))} {
				if s := text(got[i]); s != want {
					t.Errorf("answer %d: %d bytes, %.60q; want %d bytes, %.60q", i, len(s), s, len(want), want)
				}
			}
			if s := l.Stats(); s.Lost != 0 || s.Dropped != 0 {
				t.Errorf("leaf %+v", s)
			}
		})
	}
}

// TestNoAnswerIsDropped: NATS drops silently what a reader leaves above 64 MiB. Here 200 MiB of answers are asked for at once.
func TestNoAnswerIsDropped(t *testing.T) {
	l, b := pair(t, leaf.Options{Memory: 64 << 20, Lanes: 2}, Options{Timeout: patience, HelloLimit: patience})
	c := newClient(t, 0)
	const values = 8
	var stored [values]string
	for i := range values {
		stored[i] = big(1<<20-100, i)
		if got := c.do(b, set(fmt.Sprint("k", i), stored[i])); got != "STORED\r\n" {
			t.Fatal(got)
		}
	}
	const n = 200
	other := newClient(t, 1)
	// The reader hangs at the first answer: the leaf must stop of itself when the window is full.
	var outstanding uint64
	c.hold = func() {
		for l.Stats().Parked == 0 {
			time.Sleep(time.Millisecond)
		}
		outstanding = l.Stats().BytesOut - b.sess.received.Load()
	}
	for i := range n {
		c.send(b, i, request(t, fmt.Sprint("get k", i%values, "\r\n")))
		other.send(b, i, request(t, "mn\r\n"))
	}
	for i, p := range c.take(n) {
		if want := hit(fmt.Sprint("k", i%values), stored[i%values]); text(p) != want {
			t.Errorf("answer %d: %.60q", i, text(p))
		}
		p.Release()
	}
	other.take(n)
	if s := l.Stats(); s.Lost != 0 {
		t.Errorf("leaf %+v", s)
	}
	const most = defaultWindow + 1<<20 // two lanes may find the same room
	if outstanding < defaultWindow/2 || outstanding > most {
		t.Errorf("%d bytes of answers were outstanding while nobody read, want at most %d", outstanding, most)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count != 0 || b.bytes != 0 || len(b.flights) != 0 {
		t.Errorf("left over: %d requests, %d bytes, %d flights", b.count, b.bytes, len(b.flights))
	}
}
