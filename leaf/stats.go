// What a leaf counts of the frame protocol.

package leaf

import (
	"sync/atomic"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

// Stats is a snapshot of a leaf's counters since it started.
type Stats struct {
	Frames   uint64             // messages that arrived on the lanes, parts and acknowledgements included
	Requests uint64             // requests executed
	Hellos   uint64             // hello requests answered
	BytesIn  uint64             // bytes of those frames
	BytesOut uint64             // bytes of answers
	Parked   uint64             // times a frame had to wait because its proxy had a full window
	Dropped  uint64             // frames that nobody can be told about: without a reply subject, or parts that do not follow
	Lost     uint64             // answers that could not be given to NATS
	Refused  [numReasons]uint64 // frames refused, by frame.Reason
	Pending  int64              // bytes of requests that wait now
	Proxies  int                // proxies known now
	Routes   int                // other leaves to whose servers there are routes now

	Streams        int    // streams of items under way now
	StreamsBegun   uint64 // since the start
	StreamsRefused uint64 // requests for one that got none
	StreamsCut     uint64 // that did not come to their end: the reader went, or the leaf stopped
	StreamItems    uint64 // items of streams that have ended
	StreamBytes    uint64 // bytes of their frames
	Flushes        uint64 // flushes beside flush_all

	Epoch     uint64 // of the membership that it goes by; 0: it has heard of none
	Elsewhere uint64 // requests for moved keys that had to wait for what the previous owner holds
	HandedOn  uint64 // items given to the owners that came after this leaf, by request
	Filled    uint64 // items taken from previous owners, and keys of which they hold nothing
	Pulled    uint64 // items taken from previous owners before anybody asked for them
}

// numReasons is the size of a table indexed by frame.Reason.
const numReasons = int(frame.ReasonOverloaded) + 1

// counters are what Stats is read from.
type counters struct {
	frames, requests, hellos, bytesIn, bytesOut atomic.Uint64
	parked, dropped, lost                       atomic.Uint64
	refused                                     [numReasons]atomic.Uint64
	pending, told                               atomic.Int64 // bytes that wait, of requests and of memberships

	elsewhere, handedOn, filled, pulled atomic.Uint64

	streams, streamsRefused, streamsCut, streamItems, streamBytes, flushes atomic.Uint64
}

// Stats reads the counters.
func (l *Leaf) Stats() Stats {
	c := &l.count
	s := Stats{
		Frames:   c.frames.Load(),
		Requests: c.requests.Load(),
		Hellos:   c.hellos.Load(),
		BytesIn:  c.bytesIn.Load(),
		BytesOut: c.bytesOut.Load(),
		Parked:   c.parked.Load(),
		Dropped:  c.dropped.Load(),
		Lost:     c.lost.Load(),
		Pending:  c.pending.Load(),
		Proxies:  l.peers.len(),
		Routes:   l.Routes(),

		Streams:        l.streams.len(),
		StreamsBegun:   c.streams.Load(),
		StreamsRefused: c.streamsRefused.Load(),
		StreamsCut:     c.streamsCut.Load(),
		StreamItems:    c.streamItems.Load(),
		StreamBytes:    c.streamBytes.Load(),
		Flushes:        c.flushes.Load(),

		Epoch:     l.Epoch(),
		Elsewhere: c.elsewhere.Load(),
		HandedOn:  c.handedOn.Load(),
		Filled:    c.filled.Load(),
		Pulled:    c.pulled.Load(),
	}
	for i := range s.Refused {
		s.Refused[i] = c.refused[i].Load()
	}
	return s
}
