package face

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/tests/natsd"
)

const ops = "get, set, add, replace, cas, del, incr, decr, touch"

// TestWrongInput: each is refused in words that say what is wrong, and none of it gets to the engine.
func TestWrongInput(t *testing.T) {
	ns, g := natsd.Start(t), newGate()
	close(g.open)
	f := startFace(t, urlOf(ns), g)
	c := dial(t, urlOf(ns))
	f1 := func(want, subject, payload string, headers ...string) {
		t.Helper()
		if got := c.ask(subject, payload, headers...); got != "error Error-Code=400 Error=CLIENT_ERROR "+want {
			t.Errorf("%s %q %.40q: %s, want %s", subject, headers, payload, got, want)
		}
	}
	f1(`want a header "op": `+ops, "cache.k", "")
	f1(`op "": want `+ops, "cache.k", "", "op:")
	f1(`op "GET": want `+ops, "cache.k", "", "op:GET")
	f1(`op "flush_all": want `+ops, "cache.k", "", "op:flush_all")
	f1(`op "`+strings.Repeat("x", 60)+`"...: want `+ops, "cache.k", "", "op:"+strings.Repeat("x", 1000))
	f1(`header "op" is there more than once`, "cache.k", "", "op:get", "op:set")
	f1(`header "op" is there more than once`, "cache.k", "", "op:get", "OP:set")

	// Wildcards, no key, keys that are no token.
	hint := `: such a key goes into the header "key", in base64, and "_" into the subject`
	f1(`key "*" is not of [A-Za-z0-9_-]`+hint, "cache.*", "", "op:get")
	f1(`key ">" is not of [A-Za-z0-9_-]`+hint, "cache.>", "", "op:get")
	f1(`key "a*" is not of [A-Za-z0-9_-]`+hint, "cache.a*", "", "op:get")
	f1(`key "a.b" is not of [A-Za-z0-9_-]`+hint, "cache.a.b", "", "op:get")
	f1(`key "a.>" is not of [A-Za-z0-9_-]`+hint, "cache.a.>", "v", "op:set")
	f1(`key "ä" is not of [A-Za-z0-9_-]`+hint, "cache.ä", "", "op:get")
	for _, subject := range []string{"cache.", "cache"} {
		if _, err := c.nc.RequestMsg(message(subject, "", "op:get"), patience); err != nats.ErrNoResponders {
			t.Errorf("%s: %v", subject, err)
		}
	}
	f1("the key is longer than 250 bytes", "cache."+strings.Repeat("k", 251), "", "op:get")

	f1("the key is empty", "cache._", "", "op:get", "key:")
	f1(`header "key" is not base64: "a b"`, "cache._", "", "op:get", "key:a b")
	f1(`header "key" is not base64: "YQ"`, "cache._", "", "op:get", "key:YQ")
	f1(`header "key" is not base64: "YR=="`, "cache._", "", "op:get", "key:YR==")
	f1(`header "key" goes with the subject "cache._", not "cache.k"`, "cache.k", "", "op:get", b64("k"))
	f1("the key is longer than 250 bytes", "cache._", "", "op:get", b64(strings.Repeat("k", 251)))
	f1("the key is longer than 250 bytes", "cache._", "", "op:get", b64(strings.Repeat("k", 5000)))
	f1("the key has spaces or control bytes and is longer than 250 bytes in base64", "cache._", "", "op:get", b64(strings.Repeat(" ", 187)))

	// Headers.
	f1(`op "cas" wants a header "cas"`, "cache.k", "v", "op:cas")
	f1(`op "touch" wants a header "ttl"`, "cache.k", "", "op:touch")
	f1(`header "cas" has no meaning with op "set"`, "cache.k", "v", "op:set", "cas:1")
	f1(`header "flags" has no meaning with op "get"`, "cache.k", "", "op:get", "flags:1")
	f1(`header "initial" has no meaning with op "touch"`, "cache.k", "", "op:touch", "ttl:1", "initial:1")
	f1(`header "ttl" is "-1": want a number from 0 to 2147483647`, "cache.k", "v", "op:set", "ttl:-1")
	f1(`header "ttl" is "1m": want a number from 0 to 2147483647`, "cache.k", "v", "op:set", "ttl:1m")
	f1(`header "ttl" is "": want a number from 0 to 2147483647`, "cache.k", "v", "op:set", "ttl:")
	f1(`header "ttl" is "2147483648": want a number from 0 to 2147483647`, "cache.k", "v", "op:set", "ttl:2147483648")
	f1(`header "ttl" is there more than once`, "cache.k", "v", "op:set", "ttl:1", "TTL:1")
	f1(`header "flags" is "4294967296": want a number from 0 to 4294967295`, "cache.k", "v", "op:set", "flags:4294967296")
	f1(`header "flags" is "+1": want a number from 0 to 4294967295`, "cache.k", "v", "op:set", "flags:+1")
	f1(`header "cas" is "18446744073709551616": want a number from 0 to 18446744073709551615`, "cache.k", "v", "op:cas", "cas:18446744073709551616")
	f1(`header "initial" is "1 2": want a number from 0 to 18446744073709551615`, "cache.k", "", "op:incr", "initial:1 2")

	// Payloads.
	f1(`op "get" has no payload, and here is "v"`, "cache.k", "v", "op:get")
	f1(`op "del" has no payload, and here is "`+strings.Repeat("v", 60)+`"...`, "cache.k", strings.Repeat("v", 1000), "op:del")
	f1(`op "touch" has no payload, and here is "\r\n"`, "cache.k", "\r\n", "op:touch", "ttl:1")
	f1(`op "incr": the payload is "x": want a number to count by, or none for 1`, "cache.k", "x", "op:incr")
	f1(`op "decr": the payload is "-1": want a number to count by, or none for 1`, "cache.k", "-1", "op:decr")
	f1(`op "incr": the payload is "1\n": want a number to count by, or none for 1`, "cache.k", "1\n", "op:incr")
	f1(`op "incr": the payload is "18446744073709551616": want a number to count by, or none for 1`, "cache.k", "18446744073709551616", "op:incr")

	select {
	case line := <-g.arrived:
		t.Errorf("this got to the engine: %q", line)
	default:
	}
	if got := c.ask("cache.k", "", "op:touch", "ttl:1"); got != "touched" { // and afterwards all is well
		t.Error(got)
	}
	// A message without any header.
	m, err := c.nc.Request("cache.k", nil, patience)
	if err != nil || !strings.Contains(show(m), `want a header "op"`) {
		t.Errorf("%v, %v", m, err)
	}
	if s := f.Stats(); len(s.Requests) < 5 || s.Lost != 0 {
		t.Errorf("%+v", s)
	}
}

// TestCommands: what goes to the engine, byte for byte.
func TestCommands(t *testing.T) {
	for want, m := range map[string]*nats.Msg{
		"mg k v f c t\r\n":                            message("cache.k", "", "op:get"),
		"mg k v f c T0 t\r\n":                         message("cache.k", "", "op:get", "ttl:0"),
		"mg YSBi b v f c t\r\n":                       message("cache._", "", "op:get", b64("a b")),
		"mg a/b v f c t\r\n":                          message("cache._", "", "op:get", b64("a/b")),
		"ms k 3\r\na\r\n\r\n":                         message("cache.k", "a\r\n", "op:set"),
		"ms k 0 F1 T2\r\n\r\n":                        message("cache.k", "", "op:set", "ttl:2", "flags:1"),
		"ms YSBi 1 b ME\r\nv\r\n":                     message("cache._", "v", "op:add", b64("a b")),
		"ms k 1 MR F0\r\nv\r\n":                       message("cache.k", "v", "op:replace", "flags:0"),
		"ms k 1 C18446744073709551615 T1\r\nv\r\n":    message("cache.k", "v", "op:cas", "cas:18446744073709551615", "ttl:1"),
		"md k\r\n":                                    message("cache.k", "", "op:del"),
		"md YSBi b C5\r\n":                            message("cache._", "", "op:del", "cas:5", b64("a b")),
		"ma k v D1\r\n":                               message("cache.k", "", "op:incr"),
		"ma k v D7 T5\r\n":                            message("cache.k", "7", "op:incr", "ttl:5"),
		"ma YSBi b v D1 MD N0 J9\r\n":                 message("cache._", "", "op:decr", "initial:9", b64("a b")),
		"ma k v D0 N60 J18446744073709551615 T60\r\n": message("cache.k", "0", "op:incr", "initial:18446744073709551615", "ttl:60"),
		"touch k 5\r\n":                               message("cache.k", "", "op:touch", "ttl:5"),
		"mg YSBi b T5\r\n":                            message("cache._", "", "op:touch", "ttl:5", b64("a b")),
	} {
		var a ask
		if _, problem := a.read(nil, m, "cache", 0); problem != "" {
			t.Errorf("%q: %s", want, problem)
		} else if got := string(a.append(nil, m.Data)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
