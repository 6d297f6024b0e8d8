// Hello and the subjects: what a proxy and a leaf say to each other beside frames.

package frame

import "strconv"

// LaneSubject is where a leaf takes frames for one of its lanes.
func LaneSubject(leaf string, lane int) string {
	return "tp." + strconv.Itoa(Version) + "." + leaf + "." + strconv.Itoa(lane)
}

// HelloSubject is where a leaf answers hello.
func HelloSubject(leaf string) string { return "tp." + strconv.Itoa(Version) + "." + leaf + ".hello" }

// The states of a leaf, as hello tells them. Only a serving leaf is sent frames.
const (
	StateStarting = "starting"
	StateServing  = "serving"
	StateDraining = "draining"
)

// HelloRequest asks a leaf who it is, as JSON. Its reply subject is the one that answers to frames come to, so that the two
// arrive in the order in which they were sent.
type HelloRequest struct {
	Versions []int  `json:"versions"`               // frame versions that the proxy speaks
	Proxy    string `json:"proxy,omitempty"`        // who asks; empty: not a proxy, the leaf keeps nothing about it
	Window   int64  `json:"window,omitempty"`       // bytes of answers that may be on their way to it; 0: the leaf's own limit
	Acked    uint64 `json:"acked,omitempty,string"` // as Header.Acked

	Instance uint64 `json:"instance,omitempty,string"` // the leaf's to which the proxy sends requests now; 0: none
	Proxies  bool   `json:"proxies,omitempty"`         // asks for HelloReply.Proxies and what follows
}

// HelloReply is a leaf's answer, as JSON.
type HelloReply struct {
	Versions   []int  `json:"versions"` // frame versions that the leaf speaks
	Name       string `json:"name"`
	Instance   uint64 `json:"instance,string"` // drawn at every start
	Lanes      int    `json:"lanes"`
	MaxItem    int    `json:"max_item"`    // bytes of the largest value
	MaxPayload int    `json:"max_payload"` // bytes of the largest NATS message
	Epoch      uint64 `json:"epoch"`
	State      string `json:"state"`
	Sent       uint64 `json:"sent,string"` // bytes of answers sent to this reply subject before this reply

	Addr string `json:"addr,omitempty"` // where the leaf is, for people; not told to proxies

	Proxies []string `json:"proxies,omitempty"` // who said hello lately
	Items   int64    `json:"items,omitempty"`   // that the leaf holds
	Warming bool     `json:"warming,omitempty"` // it takes items from others itself
}
