package memcached

import (
	"testing"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Whether the data of an ms that was refused has been read depends on who refused it.
func TestRefusedData(t *testing.T) {
	f := func(version, request, complaint string, inStep bool) {
		t.Helper()
		host, port := serveRaw(t, func(p *peer) {
			p.line()
			p.say("VERSION %s\r\n", version)
			p.line()
			p.line()
			p.say("CLIENT_ERROR %s\r\n", complaint)
			if inStep {
				p.line()
				p.say("%s", valueOf("a"))
			}
			echo(p)
		})
		b, ev := at(t, host, port, Options{})
		w := newWaiter()
		one, two := send(t, b, w, request), send(t, b, w, "get a\r\n")
		w.take(2)
		want, kinds := valueOf("a"), ""
		if !inStep {
			want, kinds = backend.ErrProtocol.Error(), "invalidprotocol"
			ev.wait(backend.EventInvalidProtocol)
		}
		if text(one) != "CLIENT_ERROR "+complaint+"\r\n" || text(two) != want || ev.kinds() != kinds {
			t.Errorf("%s: %q: %q, then %q, events %s", version, complaint, text(one), text(two), ev.kinds())
		}
	}
	const ms, set = "ms k 2 Fx\r\nhi\r\n", "set k 0 0 2\r\nhi\r\n"
	for complaint := range refusals {
		f("1.6.18", ms, complaint, true)
	}
	for _, version := range []string{"1.6.10", "1.6.45", "1.6.45_12_g0a1b2c3", "1.6.45_12_g0a1b2c3-dirty"} {
		f(version, ms, "invalid flag", true)
	}
	for _, version := range []string{"1.6.9", "1.6", "1.7.10", "1.6.18 DF", "1.6.18x", "2.6.18", "11.6.18"} {
		f(version, ms, "invalid flag", false)
	}
	f("1.6.18", ms, "options flags are too long", false)
	f("1.6.18", ms, "bad data chunk", false)
	f("1.6.18", ms, "invalid exptime argument", false)
	f("1.6.18", set, "bad command line format", false)
}

// memcached tells the key of an item that was stored with flag b in base64, whoever asks.
func TestKeyInBase64(t *testing.T) {
	f := func(request, answer string, wanted bool) {
		t.Helper()
		host, port := serve(t, func(p *peer) {
			p.line()
			p.say("%s", answer)
			p.in.WriteTo(discard{})
		})
		b, ev := at(t, host, port, Options{})
		want := answer
		if !wanted {
			want = backend.ErrProtocol.Error()
		}
		if got := ask(t, b, request); got != want {
			t.Fatalf("%q answered %q: %q, want %q", request, answer, got, want)
		}
		if !wanted {
			ev.wait(backend.EventInvalidProtocol)
		}
	}
	f("mg a k v\r\n", "VA 1 kYQ== b\r\nx\r\n", true)
	f("mg a k v O1\r\n", "VA 1 O1 b kYQ==\r\nx\r\n", true)
	f("mg a k\r\n", "HD kYQ== b\r\n", true)
	f("mg YQ== b k v\r\n", "VA 1 ka\r\nx\r\n", true) // stored by the plain key
	f("mg a k v\r\n", "VA 1 kYg== b\r\nx\r\n", false)
	f("mg a k v\r\n", "VA 1 kYQ==\r\nx\r\n", false)
	f("mg YQ== k v\r\n", "VA 1 kYQ== b\r\nx\r\n", false)
	f("mg a k v\r\n", "VA 1 ka b\r\nx\r\n", false)
}
