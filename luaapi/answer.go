// What a call's function returned, and what is said of that which is no answer.

package luaapi

import (
	"fmt"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// Answer is what a route returned.
type Answer struct {
	Kind    AnswerKind
	Pending *backend.Pending // AnswerResponse; the caller releases it
	Text    string           // AnswerText
	Err     error            // AnswerFailed, and AnswerNone: what is wrong
	Restore bool             // the key was cut: the answer must carry the client's key
	Lingers bool             // requests that the route has sent are unanswered: Detach before the client's bytes go
}

// AnswerKind tells what a route returned.
type AnswerKind uint8

// The kinds of answer.
const (
	AnswerNone     AnswerKind = iota // nothing that can be sent
	AnswerResponse                   // a response object
	AnswerText                       // a string, sent as it is
	AnswerFailed                     // the route raised an error
)

// End takes the answer of a call that has ended. The call must not be touched afterwards, unless the answer says that it lingers.
func (c *Call) End() (ans Answer) {
	ans.Restore = c.own.restore
	if c.task.Err != nil {
		ans.Kind, ans.Err = AnswerFailed, c.task.Err
	} else {
		switch v := c.task.Result.(type) {
		case lua.LString:
			ans.Kind, ans.Text = AnswerText, string(v)
		case *lua.LUserData:
			if r, ok := v.Value.(*Response); ok && r.call != nil && r.call.root == c && r.p != nil {
				ans.Kind, ans.Pending = AnswerResponse, r.p
				ans.Restore = ans.Restore || r.restore
				r.p = nil
			}
		}
		if ans.Kind == AnswerNone {
			ans.Err = c.noAnswer(c.task.Result)
		}
	}
	c.finish()
	ans.Lingers = c.open+c.held > 0
	c.lingers = ans.Lingers
	c.settle()
	return ans
}

// noAnswer says which function returned v, which nobody can be sent.
func (c *Call) noAnswer(v lua.LValue) error {
	what := "nil"
	if v != lua.LNil {
		what = "a " + v.Type().String()
	}
	if text, ok := v.(lua.LString); ok {
		what = fmt.Sprintf("%.60q, which is no answer", string(text))
	}
	if ud, ok := v.(*lua.LUserData); ok {
		switch x := ud.Value.(type) {
		case *Response:
			what = x.unfit(c)
		case *Request:
			what = "a request"
		case Target:
			what = "a pool"
		}
	}
	at := c.gen.name
	if !c.fn.IsG {
		at = fmt.Sprintf("%s:%d", c.fn.Proto.SourceName, c.fn.Proto.LineDefined)
	}
	return fmt.Errorf("%s: the function returned %s, want a response or a string", at, what)
}

// unfit says why r is no answer of c's.
func (r *Response) unfit(c *Call) string {
	switch {
	case r.call.root != c.root:
		return "a response of another request"
	case r.p == nil && r.mutable:
		return "a response that no mutator has filled"
	}
	return "a response of a request that has ended"
}
