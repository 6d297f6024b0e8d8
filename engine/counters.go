// What is counted for every request, and how it is named.

package engine

import (
	"strings"
	"sync/atomic"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/stat"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// result is how a request went, as the label of tidepool_requests_total.
type result uint8

const (
	resultOK      result = iota // stored, deleted, touched ... and everything that is neither of the others
	resultHit                   // a read found a value
	resultMiss                  // a read found none
	resultError                 // an error line
	resultTimeout               // a backend did not answer in time
	numResults
)

var resultNames = [numResults]string{"ok", "hit", "miss", "error", "timeout"}

// counters are the proxy's own. All methods may be called concurrently.
type counters struct {
	requests *stat.Counters // by command and result
	hooks    *stat.Counters // by command: routes entered (`stats proxy` cmd_x)
	left     *stat.Counters // one: those that have ended, with all that they sent
	failures *stat.Counters // by backend.Reason

	reloads, reloadFails atomic.Uint64
	scriptErrors         atomic.Uint64
	refused              atomic.Uint64 // for the limit on requests under way
	noMemory             atomic.Uint64 // for a script's limit on buffers
	dropped              atomic.Uint64 // answers for which MaxBuffered had no room
	cronRuns, cronFails  atomic.Uint64
}

func newCounters() *counters {
	return &counters{
		requests: stat.NewCounters(int(mc.NumCmds) * int(numResults)),
		hooks:    stat.NewCounters(int(mc.NumCmds)),
		left:     stat.NewCounters(1),
		failures: stat.NewCounters(int(backend.NumReasons)),
	}
}

// request counts an answered request.
func (c *counters) request(stripe uint32, cmd mc.Cmd, r result) {
	c.requests.Add(stripe, int(cmd)*int(numResults)+int(r), 1)
}

// requestsOf reads what request counted.
func (c *counters) requestsOf(cmd mc.Cmd, r result) uint64 {
	return c.requests.Value(int(cmd)*int(numResults) + int(r))
}

// hook counts a route that is entered.
func (c *counters) hook(stripe uint32, cmd mc.Cmd) { c.hooks.Add(stripe, int(cmd), 1) }

// failure counts a request that a pool did not answer.
func (c *counters) failure(stripe uint32, err error) {
	c.failures.Add(stripe, int(backend.ReasonOf(err)), 1)
}

// leave counts n routes that have ended.
func (c *counters) leave(stripe uint32, n int) { c.left.Add(stripe, 0, uint64(n)) }

// routed is how many routes were entered, and how many of them have not ended.
func (c *counters) routed() (entered, active uint64) {
	left := c.left.Value(0) // first: what ends while the rest is added up may seem active, but never less than nothing
	for cmd := range int(mc.NumCmds) {
		entered += c.hooks.Value(cmd)
	}
	return entered, entered - min(entered, left)
}

// responseResult says how a request went, by a backend's answer.
func responseResult(r *mc.Response) result {
	switch {
	case !r.OK():
		return resultError
	case !r.Hit():
		return resultMiss
	case r.Value() != nil:
		return resultHit
	}
	return resultOK
}

// textResult says how a request went, by the line that a script or the proxy made up.
func textResult(line string) result {
	if strings.HasPrefix(line, "SERVER_ERROR") || strings.HasPrefix(line, "CLIENT_ERROR") || strings.HasPrefix(line, "ERROR") {
		return resultError
	}
	return resultOK
}
