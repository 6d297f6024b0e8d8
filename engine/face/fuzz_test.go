package face

import (
	"encoding/base64"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// FuzzAsk: whatever a message says, it is refused or becomes exactly one request, for the key that it names. Anything else would let a
// message speak for others: it shares a batch with theirs.
func FuzzAsk(f *testing.F) {
	f.Add("get", "k", "", "", "", "", "", "", uint8(0))
	f.Add("set", "_", "YSBi", "1", "30", "", "", "v\r\nflush_all\r\n", uint8(1|2|4))
	f.Add("cas", "k", "", "1", "2592001", "18446744073709551615", "", "v", uint8(2|4|8))
	f.Add("incr", "k", "", "", "5", "", "7", "12", uint8(4|16))
	f.Add("touch", "a b", "", "", "5\r\nmn", "", "", "", uint8(4))
	f.Add("del", "_", "YQ0KZmx1c2hfYWxs", "", "", "1 q", "", "", uint8(1|8))
	f.Fuzz(func(t *testing.T, op, token, key, flags, ttl, cas, initial, payload string, has uint8) {
		m := &nats.Msg{Subject: "cache." + token, Data: []byte(payload), Header: nats.Header{"op": {op}}}
		for i, v := range []string{key, flags, ttl, cas, initial} {
			if has&(1<<i) != 0 {
				m.Header[headerNames[i+1]] = []string{v}
			}
		}
		var a ask
		if _, problem := a.read(nil, m, "cache", 1_700_000_000); problem != "" {
			return
		}
		wire := a.append(nil, m.Data)
		for _, routed := range []bool{true, false} {
			var p mc.Parser
			var r mc.Request
			n, _, err := p.Next(wire, &mc.Rules{Routed: routed, MaxValue: 1 << 30}, &r)
			if err != nil || n != len(wire) || r.Bad != mc.BadNone || r.NoReply || r.Quiet || r.NKeys() != 1 || mc.CheckWire(&r) != mc.BadNone {
				t.Fatalf("%+v becomes %q: %d of %d bytes, %v, bad %d", m, wire, n, len(wire), err, r.Bad)
			}
			want := token
			if has&1 != 0 {
				decoded, err := base64.StdEncoding.DecodeString(key)
				if err != nil {
					t.Fatalf("key %q was accepted: %v", key, err)
				}
				want = string(decoded)
			}
			if got, err := r.DecodeKey(nil); err != nil || string(got) != want {
				t.Fatalf("%q is for key %q (%v), want %q", wire, got, err, want)
			}
			if r.Value != nil && string(r.Value) != payload+"\r\n" {
				t.Fatalf("%q has value %q, want %q", wire, r.Value, payload)
			}
		}
	})
}
