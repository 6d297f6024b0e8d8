// mcp.await_logerrors: the failed answers of an await are logged, whether or not somebody still waits for them.

package luaapi

import (
	"slices"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// loggedAwait is an mcp.await_logerrors whose answers have not all come. It outlives its request: it has bytes of its own. None is made
// when nobody wants to know.
type loggedAwait struct {
	seq    int // of its wait
	open   int // answers to come
	req    *mc.Request
	detail string
	fd     int
}

// newLoggedAwait is for the present wait of c, which asks n pools for r.
func (a *API) newLoggedAwait(L *lua.LState, c *Call, r *mc.Request, n int) loggedAwait {
	a.charge(L, logSteps, len(r.Line)+len(r.Value), bytesPerStep)
	q := Request{r: r}
	q.detach()
	return loggedAwait{c.wait.seq, n, q.r, L.OptString(5, ""), c.caller.FD()}
}

// logFailed looks whether p is an answer to be logged.
func (c *Call) logFailed(p *backend.Pending) {
	i := slices.IndexFunc(c.logged, func(l loggedAwait) bool { return l.seq == p.Tag>>8 })
	if i < 0 {
		return
	}
	l := &c.logged[i]
	if l.req != nil && (p.Err != nil || !p.Resp.OK()) {
		c.api.o.Logger.LogRequest(l.req, p, l.detail, l.fd)
	}
	if l.open--; l.open == 0 {
		c.logged = slices.Delete(c.logged, i, i+1)
	}
}
