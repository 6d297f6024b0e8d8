// What clients that watch proxyreqs, proxyevents and proxyuser are told, in the lines of memcached's proxy.

package engine

import (
	"errors"
	"strconv"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/engine/watch"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Longest parts of a proxy_req line, in bytes, as in memcached's proxy.
const (
	maxToldLine   = 300
	maxToldDetail = 150
)

// Where a request went that no backend has seen, in a proxy_req line.
const (
	addrNone     = ":"          // nowhere: a request that is logged without an answer
	addrInternal = "internal:0" // the proxy's own store
)

// toldRequest is what a proxy_req line tells of.
type toldRequest struct {
	line   []byte           // the request's first line
	answer *backend.Pending // nil: none
	addr   string           // who was asked
	detail string
	fd     int // the client's
}

// tellRequest tells of a request that a script or a backend's option log wants logged.
func (p *Proxy) tellRequest(t toldRequest) {
	var typ mc.Type
	var code mc.Code
	status, res := 0, "good" // also of a request without an answer, as in memcached's proxy
	var elapsed time.Duration
	if a := t.answer; a != nil {
		elapsed = time.Duration(a.End - a.Start)
		switch {
		case a.Err != nil:
			code, status, res = mc.CodeServerError, -1, "any"
		case !a.Resp.OK():
			typ, code, status, res = a.Resp.Type, a.Resp.Code, -1, "any"
		default:
			if typ, code = a.Resp.Type, a.Resp.Code; !a.Resp.Hit() {
				res = "ok"
			}
		}
	}
	b := append(make([]byte, 0, 1024), "type=proxy_req elapsed="...)
	b = strconv.AppendInt(b, elapsed.Microseconds(), 10)
	b = strconv.AppendInt(append(b, " type="...), int64(typ), 10)
	b = strconv.AppendInt(append(b, " code="...), int64(code), 10)
	b = strconv.AppendInt(append(b, " status="...), int64(status), 10)
	b = append(append(b, " res="...), res...)
	b = strconv.AppendInt(append(b, " cfd="...), int64(t.fd), 10)
	b = append(append(b, " be="...), t.addr...)
	b = append(append(b, " detail="...), t.detail[:min(len(t.detail), maxToldDetail)]...)
	b = append(append(b, " req="...), t.line[:min(len(t.line), maxToldLine)]...)
	p.opts.Watch.Write(watch.ProxyReqs, b)
}

// answerAddr says who gave a script's answer.
func answerAddr(a *backend.Pending) string {
	switch {
	case a == nil:
		return addrNone
	case a.Backend != nil:
		return a.Backend.Status().Addr
	case a.Err != nil:
		return addrNone // it was sent to nobody
	}
	return addrInternal
}

// tellBackend tells of a connection to a backend that failed or is left alone. Memcached's proxy says nothing of one that is up again.
func (p *Proxy) tellBackend(e *backend.Event) {
	if e.Kind == backend.EventConnected || !p.opts.Watch.Wants(watch.ProxyEvents) {
		return
	}
	b := append(make([]byte, 0, 512), "type=proxy_backend error="...)
	b = append(b, e.Kind...)
	b = append(append(b, " name="...), e.Name...)
	b = append(append(b, " port="...), e.Port...)
	b = append(append(b, " label="...), e.Label...)
	if e.Kind == backend.EventMarkedBad || e.Kind == backend.EventMarkedBadFlap {
		b = strconv.AppendInt(append(b, " retry="...), max(1, int64(e.Retry/time.Second)), 10)
	} else {
		b = strconv.AppendInt(append(b, " depth="...), int64(e.Depth), 10)
		b = watch.AppendEncoded(append(b, " rbuf="...), e.Rbuf)
	}
	p.opts.Watch.Write(watch.ProxyEvents, b)
}

// tellError tells of an error in a script, or in a configuration.
func (p *Proxy) tellError(err error) {
	if !p.opts.Watch.Wants(watch.ProxyEvents) {
		return
	}
	msg := err.Error()
	var script *vm.ScriptError
	if errors.As(err, &script) {
		msg = script.Text()
	}
	p.opts.Watch.Write(watch.ProxyEvents, append([]byte("type=proxy_error msg="), msg[:min(len(msg), maxLogged)]...))
}

// How a load goes, in a proxy_conf line. It has started when the files are known to be good so far as mcp_config_pools: one that is
// refused before has never started.
const (
	confStart  = "start"
	confDone   = "done"
	confFailed = "failed"
)

func (p *Proxy) tellConfig(status string) {
	if p.opts.Watch.Wants(watch.ProxyEvents) {
		p.opts.Watch.Write(watch.ProxyEvents, append([]byte("type=proxy_conf status="), status...))
	}
}

// tellUser tells what a script has to say.
func (p *Proxy) tellUser(msg string) {
	if p.opts.Watch.Wants(watch.ProxyUser) {
		p.opts.Watch.Write(watch.ProxyUser, append([]byte("type=proxy_user msg="), msg[:min(len(msg), maxLogged)]...))
	}
}
