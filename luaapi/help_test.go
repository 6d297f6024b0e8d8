// A worker and a caller that do nothing but remember.

package luaapi

import (
	"errors"
	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// idleWorker is a Worker without commands.
type idleWorker struct{ count FuncCount }

func (w *idleWorker) Attach(mc.Cmd, string, *Route) *Route                     { return nil }
func (w *idleWorker) CountFunc(string) *FuncCount                              { return &w.count }
func (w *idleWorker) Stat(int, int64) error                                    { return nil }
func (w *idleWorker) Share(_, _ string, make func() (any, error)) (any, error) { return make() }
func (w *idleWorker) OpenStore(int64) (Store, error)                           { return nil, errors.New("no store here") }
func (w *idleWorker) OpenFetcher(FetchSpec) (Target, error) {
	return nil, errors.New("no fetching here")
}
func (w *idleWorker) Internal(_ *mc.Request, dst []byte) []byte { return append(dst, "EN\r\n"...) }

// oneCaller serves one request at a time.
type oneCaller struct {
	queue Queue
	ans   []Answer
}

func (c *oneCaller) Done(*backend.Pending) bool { return false }
func (c *oneCaller) Wake()                      {}
func (c *oneCaller) Lane() uint32               { return 0 }
func (c *oneCaller) Now() int64                 { return 0 }
func (c *oneCaller) Client() uint64             { return 1 }
func (c *oneCaller) FD() int                    { return 0 }
func (c *oneCaller) Queue() *Queue              { return &c.queue }
func (c *oneCaller) Ended(x *Call)              { c.ans = append(c.ans, x.End()) }
func (c *oneCaller) Idle(*Call)                 {}
func (c *oneCaller) Alarm(*Call)                {}
func (c *oneCaller) Failed(*Call, error)        {}
func (c *oneCaller) Ran(int64)                  {}
func (c *oneCaller) Block(*Call)                {}
