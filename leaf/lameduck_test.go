// How the embedded server lets go of its clients.

package leaf

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestLameDuck: who is connected when a leaf closes hears of it before being cut off, and nobody is waited for after the time is up.
func TestLameDuck(t *testing.T) {
	for _, c := range []struct {
		duck  time.Duration
		ended bool
		told  bool
	}{{40 * time.Millisecond, false, true}, {time.Hour, true, false}, {0, false, false}} {
		l := start(t, Options{LameDuck: c.duck})
		told, cut := make(chan struct{}, 1), make(chan struct{})
		p := dial(t, l, nats.NoReconnect(), nats.LameDuckModeHandler(func(*nats.Conn) { told <- struct{}{} }))
		closed := p.nc.ClosedHandler()
		p.nc.SetClosedHandler(func(nc *nats.Conn) { closed(nc); close(cut) })
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if c.ended {
			cancel()
		}
		if err := l.Close(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		<-cut
		select {
		case <-told:
			if !c.told {
				t.Errorf("%+v: clients are told", c)
			}
		default:
			if c.told {
				t.Errorf("%+v: clients are not told", c)
			}
		}
	}
}

// TestLameDuckHasAnEnd: clients that stay are cut off with the time of the stop.
func TestLameDuckHasAnEnd(t *testing.T) {
	l := start(t, Options{LameDuck: time.Hour})
	told := make(chan struct{}, 1)
	dial(t, l, nats.NoReconnect(), nats.LameDuckModeHandler(func(*nats.Conn) { told <- struct{}{} }))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() {
		<-told
		cancel()
	}()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
