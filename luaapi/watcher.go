// Watching what routes do, for who explains a request while it is served.

package luaapi

import (
	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Watcher is told what the calls of a state do, all of them; it knows its own by Call.Serves. It is called with the state's lock held.
type Watcher interface {
	// Sends is told before r goes to t. It may change p's Waiter and Stamps.
	Sends(c *Call, t Target, r *mc.Request, p *backend.Pending)
	// Runs is told after r has been run on a store of the proxy's.
	Runs(c *Call, r *mc.Request, p *backend.Pending)
	// Waits is told that c waits: if limited, for so many nanoseconds at most.
	Waits(c *Call, within int64, limited bool)
	// GoesOn is told that it waits no more, because it has what it waited for, or because its time is over.
	GoesOn(c *Call, expired bool)
}

// Watch has w told from now on; nil: nobody. It wants the state's lock.
func (a *API) Watch(w Watcher) { a.watcher = w }

// Watched reports whether somebody is. It wants the state's lock.
func (a *API) Watched() bool { return a.watcher != nil }
