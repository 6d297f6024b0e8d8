// Streams: items on their way to who asks for them, at a pace that leaves the processor to requests.

package leaf

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

const (
	maxStreams    = 4       // at one time
	streamWindow  = 4 << 20 // bytes that a reader may leave unacknowledged, at most
	minWindow     = 4 << 10
	streamChunk   = 8 << 10  // of a body
	streamRequest = 64 << 10 // bytes of the longest request
)

// streamTimes are what a stream counts by.
type streamTimes struct {
	beat   time.Duration // a stream that lives says so this often, and hears as much
	silent time.Duration // a reader that says nothing for so long is gone
	stuck  time.Duration // one that takes nothing of a full window for so long is given up
}

var usualTimes = streamTimes{beat: time.Second, silent: 10 * time.Second, stuck: time.Minute}

// streams are all that a leaf sends. Safe for concurrent use.
type streams struct {
	l     *Leaf
	times streamTimes

	mu      sync.Mutex
	running map[uint64]*outgoing // by id
	last    uint64               // the id given last
	closed  string               // why there are no new ones; "": there may be
}

// offerStreams subscribes to requests for streams.
func (l *Leaf) offerStreams() error {
	subject := frame.StreamSubject(l.o.Name)
	if err := l.subscribe(subject, l.streams.arrive); err != nil {
		return err
	}
	return l.subscribe(subject+".*", l.streams.bounced)
}

func newStreams(l *Leaf) *streams {
	return &streams{l: l, times: usualTimes, running: map[uint64]*outgoing{}}
}

// arrive is the subscription's callback: requests for streams, and acknowledgements.
func (ss *streams) arrive(m *nats.Msg) {
	var h frame.Header
	if _, err := h.Parse(m.Data); err == nil && h.Flags == frame.FlagAck {
		ss.acked(&h, m.Reply)
		return
	}
	if m.Reply == "" {
		ss.l.count.dropped.Add(1)
		return
	}
	q, err := parseStreamRequest(m.Data)
	if err == nil && ss.l.local == nil {
		err = fmt.Errorf("SERVER_ERROR this leaf has no store of its own")
	}
	if err == nil {
		err = ss.begin(q, m.Reply)
	}
	if err != nil {
		ss.l.count.streamsRefused.Add(1)
		h := frame.Header{Flags: frame.FlagAnswer, Instance: ss.l.instance, Millis: frame.StreamCut}
		_ = ss.l.nc.Publish(m.Reply, h.Append(nil, append([]byte(err.Error()), "\r\n"...))) // if it is lost, the reader waits in vain
	}
}

// acked notes how far a reader is.
func (ss *streams) acked(h *frame.Header, reply string) {
	if h.Instance != ss.l.instance {
		if reply != "" {
			ss.l.refuse(reply, h.ID, frame.ReasonInstance)
		}
		return
	}
	if s := ss.find(h.ID); s != nil {
		s.ack(h.Acked)
	}
}

// bounced is called when what a stream sent has found nobody. Before its reader was heard of, this means that its subscription is
// still on its way through a cluster.
func (ss *streams) bounced(m *nats.Msg) {
	if len(m.Data) > 0 || m.Header.Get("Status") != "503" {
		return
	}
	id, err := strconv.ParseUint(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], 10, 64)
	if err != nil {
		return
	}
	if s := ss.find(id); s != nil && s.known() {
		s.end(errReaderGone)
	}
}

func (ss *streams) find(id uint64) *outgoing {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return ss.running[id]
}

// parseStreamRequest reads a request. An error is the line that answers it.
func parseStreamRequest(data []byte) (q frame.StreamRequest, err error) {
	bad := func(format string, a ...any) (frame.StreamRequest, error) {
		return q, fmt.Errorf("CLIENT_ERROR "+format, a...)
	}
	if len(data) > streamRequest {
		return bad("request for a stream is too long")
	}
	switch err := json.Unmarshal(data, &q); {
	case err != nil:
		return bad("cannot read request for a stream: no JSON of one")
	case q.Mode != frame.StreamKeys && q.Mode != frame.StreamItems:
		return bad("unknown mode %.40q", q.Mode)
	case q.Order != "" && q.Order != frame.StreamHottest:
		return bad("unknown order %.40q", q.Order)
	case len(q.Prefix) > mc.MaxKey:
		return bad("prefix of %d bytes, want at most %d", len(q.Prefix), mc.MaxKey)
	case q.Limit < 0 || q.Window < 0:
		return bad("limit %d, window %d: want none below 0", q.Limit, q.Window)
	}
	if q.Window == 0 || q.Window > streamWindow {
		q.Window = streamWindow
	}
	q.Window = max(q.Window, minWindow)
	return q, nil
}

// begin starts a stream. An error is the line that answers the request.
func (ss *streams) begin(q frame.StreamRequest, reply string) error {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	switch {
	case ss.closed != "":
		return fmt.Errorf("%s", ss.closed)
	case len(ss.running) >= maxStreams, q.Past != nil && q.Past.Epoch > ss.l.members.fenced.Load():
		return fmt.Errorf("%s", frame.StreamBusy)
	}
	ss.last++
	s := newOutgoing(ss.l, ss.last, q, reply)
	ss.running[s.id] = s
	ss.l.count.streams.Add(1)
	ss.l.done.Go(func() {
		s.run()
		ss.l.handed.note(s)
		ss.mu.Lock()
		delete(ss.running, s.id)
		ss.mu.Unlock()
	})
	return nil
}

// stop ends all streams with a word to their readers, and lets none begin.
func (ss *streams) stop() {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	ss.closed = "SERVER_ERROR the leaf stops"
	for _, s := range ss.running {
		s.end(errLeafStops)
	}
}

// len is how many there are.
func (ss *streams) len() int {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.running)
}
