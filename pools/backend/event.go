// Events: what a backend tells the log and the watchers about its connections.

package backend

import "time"

// Event is something that happened to one connection of a backend. The words and fields are those of memcached's proxy
// (`watch proxyevents`, type=proxy_backend).
type Event struct {
	Kind  EventKind
	Name  string        // host, socket path or leaf
	Port  string        // "" where there is none
	Label string        // as the configuration calls the backend; may be empty
	Leaf  string        // a leaf's own name, as far as it is known; "" for a memcached server
	Depth int           // requests queued or in flight when it happened; they were all failed
	Rbuf  []byte        // the first bytes that were not understood, at most 100; valid during the call only
	Retry time.Duration // for MarkedBad and MarkedBadFlap: time to the first probe
	Err   error         // nil for Connected
}

// EventKind is an event's name as people read it.
type EventKind string

// Why a connection was given up, in the order in which a connection lives. Events other than Connected are only told
// while the backend is not marked bad already.
const (
	EventConnecting      EventKind = "connecting"      // cannot connect
	EventConnTimeout     EventKind = "conntimeout"     // no connection in time
	EventReadValidate    EventKind = "readvalidate"    // no answer to the greeting
	EventBadValidate     EventKind = "badvalidate"     // a wrong answer to the greeting
	EventTimeout         EventKind = "timeout"         // no answer in time
	EventDisconnected    EventKind = "disconnected"    // closed by the other side
	EventWriting         EventKind = "writing"         // write failed
	EventReading         EventKind = "reading"         // read failed
	EventParsing         EventKind = "parsing"         // not an answer
	EventClosedSock      EventKind = "closedsock"      // bytes or an end that nobody waited for
	EventUnhandledRes    EventKind = "unhandledres"    // an answer that no request has (STAT, VERSION)
	EventOutOfMemory     EventKind = "outofmemory"     // an answer over the limit
	EventMissingEnd      EventKind = "missingend"      // VALUE without END
	EventTrailingData    EventKind = "trailingdata"    // bytes after the last answer
	EventInvalidProtocol EventKind = "invalidprotocol" // ERROR or CLIENT_ERROR: delivered, then closed
	EventMarkedBad       EventKind = "markedbad"       // too many failures in a row
	EventMarkedBadFlap   EventKind = "markedbadflap"   // too many short-lived connections in a row
	EventConnected       EventKind = "connected"       // up again (ours; upstream says nothing)
	EventRefused         EventKind = "refused"         // a leaf takes no requests for the moment (ours)
)
