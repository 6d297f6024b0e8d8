package luaapi

import (
	"fmt"
	"slices"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// asked is a pool that keeps what it is asked.
type asked struct{ got []*backend.Pending }

func (x *asked) Name() string                           { return "asked" }
func (x *asked) Send(_ *mc.Request, p *backend.Pending) { x.got = append(x.got, p) }

// answer makes the i-th request answered, with an error if text is "".
func (x *asked) answer(t *testing.T, i int, text string) {
	p := x.got[i]
	if text == "" {
		p.Err = backend.ErrTimeout
	} else if p.Buf = append(p.Buf[:0], text...); true {
		if _, _, err := mc.ParseResponse(p.Buf, &p.Resp); err != nil {
			t.Fatal(err)
		}
	}
	p.Data.(*Call).Deliver(p)
}

// memo is a Logger that remembers a line of each request.
type memo struct{ lines []string }

func (l *memo) Log(string)         {}
func (l *memo) LogsRequests() bool { return true }
func (l *memo) LogRequest(q *mc.Request, p *backend.Pending, detail string, _ int) {
	l.lines = append(l.lines, fmt.Sprintf("%s %s %v %d", q.Line, detail, p.Err, p.Resp.Code))
}

// Failed answers are logged, those that come before the await is over, those that come after, and those that come when the call
// serves another request.
func TestAwaitLogsErrors(t *testing.T) {
	for _, d := range []struct {
		name, await string
		answers     []string // in this order, the first before the second request; "" is an error
		want        []string
	}{
		{"all", "await_logerrors(r, pools, 0, mcp.AWAIT_ANY, 'why')", []string{"END\r\n", "SERVER_ERROR x\r\n", ""}, []string{"get first why <nil> 23", "get first why backend timed out 0"}},
		{"nobody waits", "await_logerrors(r, pools, 0, mcp.AWAIT_BACKGROUND, 'why')", []string{"", "END\r\n", "SERVER_ERROR x\r\n"}, []string{"get first why backend timed out 0", "get first why <nil> 23"}},
		{"late ones", "await_logerrors(r, pools, 1, mcp.AWAIT_ANY)", []string{"END\r\n", "", "END\r\n"}, []string{"get first  backend timed out 0"}},
		{"await logs nothing", "await(r, pools, 1, mcp.AWAIT_ANY)", []string{"", "", ""}, nil},
	} {
		t.Run(d.name, func(t *testing.T) {
			st, err := vm.New(vm.Options{})
			if err != nil {
				t.Fatal(err)
			}
			st.Lock()
			defer st.Close()
			log, pool, caller := &memo{}, &asked{}, &oneCaller{}
			a := Open(st, Options{Stage: StageRoutes, Worker: &idleWorker{}, Logger: log})
			p := a.pool(pool)
			st.SetGlobal("pools", listOf(st, p, p, p))
			if err := st.Run([]byte("function route(r) if r:key() == 'first' then mcp."+d.await+" end return 'x' end"), "r.lua"); err != nil {
				t.Fatal(err)
			}
			g := a.plainFunc(st.Global("route").(*lua.LFunction))
			serve := func(line string) {
				buf := []byte(line)
				var r mc.Request
				if _, _, err := new(mc.Parser).Next(buf, &mc.Rules{}, &r); err != nil {
					t.Fatal(err)
				}
				if _, err := a.Begin(caller, 0, g, &r, 0); err != nil {
					t.Fatal(err)
				}
				clear(buf[4:]) // the client's next request is read into the same place
			}
			serve("get first\r\n")
			pool.answer(t, 0, d.answers[0])
			serve("get second\r\n")
			pool.answer(t, 1, d.answers[1])
			pool.answer(t, 2, d.answers[2])
			if !slices.Equal(log.lines, d.want) {
				t.Errorf("%q is logged, want %q", log.lines, d.want)
			}
			if n := len(caller.ans); n != 2 {
				t.Errorf("%d answers", n)
			}
		})
	}
}

func listOf(st *vm.State, vs ...lua.LValue) *lua.LTable {
	t := st.L.NewTable()
	for _, v := range vs {
		t.Append(v)
	}
	return t
}
