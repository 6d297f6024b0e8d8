// Everything about time, on testing/synctest's clock over in-memory connections.

package memcached

import (
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// inBubble runs f with a backend whose connections are served by script, in a world where time passes only when everyone waits.
func inBubble(t *testing.T, o Options, script func(p *peer), f func(b *Backend, d *pipes, ev *events)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d, ev := &pipes{script: script}, newEvents()
		o.Host, o.Port, o.OnEvent = "127.0.0.1", "1", ev.on
		if o.Dial == nil {
			o.Dial = d.dial
		}
		o.Rand = func() float64 { return 0 }
		b, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			b.Close()
			time.Sleep(time.Hour) // for servers that sleep
		}()
		synctest.Wait()
		f(b, d, ev)
	})
}

// greeted is a script after the handshake.
func greeted(script func(p *peer)) func(p *peer) {
	return func(p *peer) {
		if p.greet() {
			script(p)
		}
	}
}

// after gives how long f takes.
func after(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// silent reads for ever and answers nothing.
func silent(p *peer) {
	for p.line() != "" {
	}
}

func TestReadTimeout(t *testing.T) {
	inBubble(t, Options{}, greeted(silent), func(b *Backend, _ *pipes, ev *events) {
		time.Sleep(time.Hour) // an idle connection does not time out
		if s := b.Status(); !s.Up || s.Opened != 1 {
			t.Errorf("after an idle hour: %+v", s)
		}
		var got string
		if d := after(func() { got = ask(t, b, "get k\r\n") }); d != 3*time.Second || got != backend.ErrTimeout.Error() {
			t.Errorf("%q after %v, want a timeout after 3s", got, d)
		}
		synctest.Wait()
		if got := ev.kinds(); got != "timeout" {
			t.Errorf("events %q", got)
		}
	})
}

// The deadline of a request is exact although the timer was set by one before it.
func TestReadTimeoutAfterTraffic(t *testing.T) {
	inBubble(t, Options{ReadTimeout: time.Second}, greeted(func(p *peer) {
		for range 5 {
			p.line()
			p.say("END\r\n")
		}
		silent(p)
	}), func(b *Backend, _ *pipes, _ *events) {
		for range 5 {
			if got := ask(t, b, "get k\r\n"); got != "END\r\n" {
				t.Errorf("%q", got)
			}
			time.Sleep(300 * time.Millisecond)
		}
		if d := after(func() { ask(t, b, "get k\r\n") }); d != time.Second {
			t.Errorf("timed out after %v, want 1s", d)
		}
	})
}

// Received bytes start the timer anew; yet one answer may not take for ever.
func TestReadTimeoutRestarts(t *testing.T) {
	f := func(gap time.Duration, answer string, want string, wantTime time.Duration) {
		t.Helper()
		inBubble(t, Options{ReadTimeout: time.Second}, greeted(func(p *peer) {
			p.line()
			for _, c := range []byte(answer) {
				time.Sleep(gap)
				if _, err := p.Write([]byte{c}); err != nil {
					return
				}
			}
			silent(p)
		}), func(b *Backend, _ *pipes, _ *events) {
			var got string
			if d := after(func() { got = ask(t, b, "get k\r\n") }); d != wantTime || got != want {
				t.Errorf("a byte every %v: %q after %v, want %q after %v", gap, got, d, want, wantTime)
			}
		})
	}
	f(900*time.Millisecond, "END\r\n", "END\r\n", 4500*time.Millisecond)
	f(1100*time.Millisecond, "END\r\n", backend.ErrTimeout.Error(), time.Second)
	f(900*time.Millisecond, "VALUE k 0 1\r\n1\r\nEND\r\n", backend.ErrTimeout.Error(), patience*time.Second)
}

// A timeout fails everything on the connection, and the answer that comes late is seen by no one.
func TestLateAnswer(t *testing.T) {
	inBubble(t, Options{ReadTimeout: time.Second}, greeted(func(p *peer) {
		if p.n > 1 {
			echo(p)
			return
		}
		p.line()
		p.line()
		time.Sleep(2 * time.Second)
		p.say("%s%s", valueOf("a"), valueOf("b"))
		silent(p)
	}), func(b *Backend, _ *pipes, _ *events) {
		w := newWaiter()
		one, two := send(t, b, w, "get a\r\n"), send(t, b, w, "get b\r\n")
		w.take(2)
		for _, p := range []*backend.Pending{one, two} {
			if text(p) != backend.ErrTimeout.Error() {
				t.Errorf("%q", text(p))
			}
		}
		for range 10 {
			if got := ask(t, b, "get b\r\n"); got != valueOf("b") {
				t.Errorf("%q", got)
			}
			time.Sleep(300 * time.Millisecond)
		}
		if w.got() != 0 {
			t.Error("a late answer was delivered")
		}
	})
}

func TestConnectTimeout(t *testing.T) {
	hang := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	inBubble(t, Options{Dial: hang, FailureLimit: 1}, nil, func(b *Backend, _ *pipes, ev *events) {
		var got string
		if d := after(func() { got = ask(t, b, "get k\r\n") }); d != 5*time.Second || got != backend.ErrDisconnected.Error() {
			t.Errorf("%q after %v", got, d)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := ev.kinds(); got != "conntimeout conntimeout markedbad" {
			t.Errorf("events %q", got)
		}
	})
}

func TestGreetingTimeout(t *testing.T) {
	inBubble(t, Options{ReadTimeout: 2 * time.Second}, silent, func(b *Backend, _ *pipes, ev *events) {
		var got string
		if d := after(func() { got = ask(t, b, "get k\r\n") }); d != 2*time.Second || got != backend.ErrDisconnected.Error() {
			t.Errorf("%q after %v", got, d)
		}
		synctest.Wait()
		if got := ev.kinds(); got != "readvalidate" {
			t.Errorf("events %q", got)
		}
	})
}

// Refused four times it is bad: requests fail at once, a probe goes out every three seconds, and one that is answered makes
// it good.
func TestMarkedBad(t *testing.T) {
	inBubble(t, Options{}, nil, func(b *Backend, d *pipes, ev *events) {
		if got := ev.kinds(); got != "connecting connecting connecting connecting markedbad" {
			t.Errorf("events %q", got)
		}
		if e := ev.wait(backend.EventMarkedBad); e.Retry != 3*time.Second || e.Label != "" || e.Name != "127.0.0.1" || e.Port != "1" {
			t.Errorf("%+v", e)
		}
		var got string
		if d := after(func() { got = ask(t, b, "get k\r\n") }); d != 0 || got != backend.ErrDown.Error() {
			t.Errorf("%q after %v", got, d)
		}
		if s := b.Status(); s.Up || s.Bad != 1 || s.MarkedBad != 1 || s.Failed != 3 || s.Failures != 4 || !strings.Contains(s.LastError, "refused") {
			t.Errorf("%+v", s)
		}
		for i := range 5 {
			if d.dialled() != 4+i {
				t.Errorf("%d connection attempts after %d probes", d.dialled(), i)
			}
			time.Sleep(3 * time.Second)
			synctest.Wait()
		}
		d.set(greeted(echo))
		time.Sleep(2999 * time.Millisecond)
		if got := ask(t, b, "get k\r\n"); got != backend.ErrDown.Error() {
			t.Errorf("before the probe: %q", got)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := ask(t, b, "get k\r\n"); got != valueOf("k") {
			t.Errorf("after the probe: %q", got)
		}
		if s := b.Status(); !s.Up || s.Bad != 0 || s.Failures != 0 {
			t.Errorf("%+v", s)
		}
		if got := ev.kinds(); got != "connecting connecting connecting connecting markedbad" {
			t.Errorf("events of a backend that was bad already: %q", got)
		}
	})
}

// It greets and lets every request time out: bad after four, and after each passed probe one timeout makes it bad again.
func TestGreetsOnly(t *testing.T) {
	inBubble(t, Options{ReadTimeout: time.Second}, greeted(silent), func(b *Backend, _ *pipes, ev *events) {
		f := func(want error) {
			t.Helper()
			if got := ask(t, b, "get k\r\n"); got != want.Error() {
				t.Errorf("%q, want %q", got, want)
			}
			synctest.Wait()
		}
		for range 4 {
			f(backend.ErrTimeout)
		}
		f(backend.ErrDown)
		for range 3 {
			time.Sleep(3 * time.Second)
			synctest.Wait()
			f(backend.ErrTimeout)
			f(backend.ErrDown)
		}
		if got := b.Status().MarkedBad; got != 4 {
			t.Errorf("marked bad %d times, want 4", got)
		}
		if got := ev.kinds(); got != "timeout timeout timeout timeout markedbad timeout markedbad timeout markedbad timeout markedbad" {
			t.Errorf("events %q", got)
		}
	})
}

// A server that greets and hangs up is not called in a tight loop.
func TestHangsUp(t *testing.T) {
	inBubble(t, Options{}, greeted(func(*peer) {}), func(b *Backend, d *pipes, _ *events) {
		time.Sleep(10 * time.Second)
		if n := d.dialled(); n < 5 || n > 40 { // some are lost while they are being greeted, which counts otherwise
			t.Errorf("%d connections in ten seconds", n)
		}
	})
}

// Flapping: connections that live short mark it bad although each greeting succeeds; the wait grows.
func TestFlapping(t *testing.T) {
	inBubble(t, Options{FlapTime: 10 * time.Second, FailureLimit: 1, RetryWait: time.Second, FlapMax: 3 * time.Second}, greeted(func(p *peer) {
		p.line()
	}), func(b *Backend, _ *pipes, ev *events) {
		f := func(want string, wantBad bool, wait time.Duration) {
			t.Helper()
			if got := ask(t, b, "get k\r\n"); got != want {
				t.Errorf("%q, want %q", got, want)
			}
			synctest.Wait()
			if s := b.Status(); (s.Bad == 1) != wantBad {
				t.Errorf("%+v, want bad %v", s, wantBad)
			}
			time.Sleep(wait)
			synctest.Wait()
		}
		lost := backend.ErrDisconnected.Error()
		f(lost, false, 0)
		f(lost, true, 2250*time.Millisecond) // 1 s * 1.5^2
		f(lost, true, 3*time.Second)         // 3.4, over the limit
		if got := ev.kinds(); got != "disconnected disconnected markedbadflap disconnected markedbadflap" {
			t.Errorf("events %q", got)
		}
	})
}

func TestCloseWhile(t *testing.T) {
	f := func(name string, o Options, script func(p *peer)) {
		t.Helper()
		inBubble(t, o, script, func(b *Backend, _ *pipes, _ *events) {
			w := newWaiter()
			send(t, b, w, "get k\r\n")
			synctest.Wait()
			if d := after(func() { b.Close() }); d != 0 {
				t.Errorf("%s: closing took %v", name, d)
			}
			if p := w.take(1)[0]; text(p) != backend.ErrClosed.Error() && !(name == "bad" && text(p) == backend.ErrDown.Error()) {
				t.Errorf("%s: %q", name, text(p))
			}
			if got := ask(t, b, "get k\r\n"); got != backend.ErrClosed.Error() {
				t.Errorf("%s, afterwards: %q", name, got)
			}
		})
	}
	f("dialling", Options{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}, nil)
	f("greeting", Options{}, silent)
	f("waiting for an answer", Options{}, greeted(silent))
	f("bad", Options{}, nil)
}

// IPv4 before IPv6, and a literal as it is.
func TestDialOrder(t *testing.T) {
	f := func(host string, want string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var tried []string
			b, err := New(Options{Host: host, Port: "11211", FailureLimit: backend.NoTolerance, Dial: func(_ context.Context, network, addr string) (net.Conn, error) {
				tried = append(tried, network+" "+addr)
				return nil, net.UnknownNetworkError("no")
			}})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			b.Close()
			if got := strings.Join(tried, ", "); got != want {
				t.Errorf("%q: %s, want %s", host, got, want)
			}
		})
	}
	f("cache.example", "tcp4 cache.example:11211, tcp6 cache.example:11211")
	f("127.0.0.1", "tcp 127.0.0.1:11211")
	f("::1", "tcp [::1]:11211")
}
