// Live: one request through a running proxy, watched.

package engine

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
	"github.com/tidepool-proxy/tidepool/luaapi"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Live is what one request did. Times are in microseconds since it began.
type Live struct {
	Generation uint64       `json:"generation"`
	Route      string       `json:"route"` // "": none is attached
	Tree       *luaapi.Node `json:"tree,omitempty"`
	Native     bool         `json:"native"`
	Steps      []*LiveStep  `json:"steps"`
	Answer     string       `json:"answer"`
	From       int          `json:"from,omitempty"` // the number of the request whose answer it is; 0: the route's own
	Took       float64      `json:"took_us"`
}

// LiveStep is what was sent, and what was waited for before more was.
type LiveStep struct {
	Sent  []*LiveSent `json:"sent"`
	Waits []*LiveWait `json:"waits,omitempty"`
}

// LiveSent is one request to one pool.
type LiveSent struct {
	Sent
	Queued   float64 `json:"queued_us"`
	Written  float64 `json:"written_us,omitempty"`  // given to the socket, or to NATS; 0: it was not, or not by a backend that says when
	Answered float64 `json:"answered_us,omitempty"` // 0: not within the time that was waited for what is late
	Result   string  `json:"result,omitempty"`      // the answer's first line
	Error    string  `json:"error,omitempty"`       // why there is none

	stamps *backend.Stamps
	call   *luaapi.Call // that has sent it; nil where a pool is attached
}

// LiveWait is one time that the route, or what is behind its handles, waited.
type LiveWait struct {
	By     string  `json:"by,omitempty"`
	From   float64 `json:"from_us"`
	Within float64 `json:"within_us,omitempty"` // at most; 0: as long as it takes
	To     float64 `json:"to_us,omitempty"`     // 0: it was given up
	Over   bool    `json:"over,omitempty"`      // its time was
	Got    []int   `json:"got,omitempty"`       // the answers to what it had sent itself that had come meanwhile
}

// Why a request is not watched.
var (
	ErrLiveBusy    = errors.New("another request is being watched")
	ErrLiveRequest = errors.New("want one request of a command that has a key")
)

// lateness is how long answers are waited for that come after the client's.
const lateness = time.Second

// liveConn numbers the sessions of watched requests apart from those of connections, which begin at 1.
const liveConn = 1 << 40

// ExplainLive sends request, a whole one as a client sends it, through the routes of listeners with tag, as a client of its own, and tells
// what happened when. Errors are *UnknownTag, ErrLiveBusy, and what wraps ErrLiveRequest.
func (p *Proxy) ExplainLive(tag string, request []byte) (*Live, error) {
	if !p.watching.TryLock() {
		return nil, ErrLiveBusy
	}
	defer p.watching.Unlock()
	g := p.current.Load()
	for !g.hold() { // while it is held there is one that the session can acquire
		if p.stopped.Load() {
			return nil, errors.New("cannot watch a request: the proxy stops")
		}
		g = p.current.Load()
	}
	defer g.release()
	p.lives++
	info := server.ConnInfo{ID: liveConn + p.lives, Tag: tag, FD: -1}
	w := g.worker(info.ID)
	w.state.Lock()
	err := w.knowsTag(tag)
	w.state.Unlock()
	if err != nil {
		return nil, err
	}
	s := p.Open(info).(*session)
	defer s.Close()
	var out bytes.Buffer
	b := server.NewBatch(&out)
	b.Rules, b.Reqs = s.Rules(), make([]mc.Request, 1)
	r := &b.Reqs[0]
	var parser mc.Parser
	switch n, _, err := parser.Next(request, &b.Rules, r); {
	case err != nil || n != len(request) || !r.Cmd.HasKey() && r.Bad == mc.BadNone:
		return nil, fmt.Errorf("%w: %.300q", ErrLiveRequest, request)
	case r.Bad != mc.BadNone:
		return nil, fmt.Errorf("%w: the proxy answers %.300q with %q", ErrLiveRequest, request, mc.AnswerBad(nil, r, &b.Rules))
	}
	s.probe = &probe{s: s, key: r, all: make(chan struct{}, 1), numbers: map[*backend.Pending]int{}, open: map[*luaapi.Call]*LiveWait{}}
	defer s.probe.end()
	if err := s.Serve(b); err != nil && !errors.Is(err, server.ErrClose) {
		return nil, err
	}
	return s.probe.tell(out.String() + string(b.Out)), nil
}
