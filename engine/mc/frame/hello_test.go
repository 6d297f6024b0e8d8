// Hello as bytes: proxies and leaves of different builds read it.

package frame

import (
	"encoding/json"
	"math"
	"testing"
)

func TestHello(t *testing.T) {
	// Counters and instances are strings: JSON readers elsewhere round numbers over 2^53.
	reply := HelloReply{Versions: []int{1}, Name: "leaf-1", Instance: math.MaxUint64, Lanes: 4, State: StateServing, Sent: 1 << 60}
	b, err := json.Marshal(reply)
	want := `{"versions":[1],"name":"leaf-1","instance":"18446744073709551615","lanes":4,"max_item":0,"max_payload":0,"epoch":0,` +
		`"state":"serving","sent":"1152921504606846976"}`
	if err != nil || string(b) != want {
		t.Errorf("%s %v\nwant %s", b, err, want)
	}
	var got HelloReply
	if err := json.Unmarshal(b, &got); err != nil || got.Instance != reply.Instance || got.Sent != reply.Sent {
		t.Errorf("%+v %v", got, err)
	}
	if LaneSubject("leaf-1", 3) != "tp.1.leaf-1.3" || HelloSubject("leaf-1") != "tp.1.leaf-1.hello" {
		t.Error(LaneSubject("leaf-1", 3), HelloSubject("leaf-1"))
	}
}
