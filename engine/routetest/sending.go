// What a test sends as a client, and what it gets.

package routetest

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// payload are a method's or function's arguments from i on: a line, and perhaps a value.
func payload(L *lua.LState, i int) (line string, value *string) {
	line = L.CheckString(i)
	if L.GetTop() > i && L.Get(i+1) != lua.LNil {
		v := L.CheckString(i + 1)
		value = &v
	}
	return line, value
}

// result is a finished call for the test.
func (f *file) result(L *lua.LState, x *call, what string) *lua.LTable {
	if err := x.wait(); err != nil {
		L.RaiseError("%s: %v", what, err)
	}
	text := x.out.String()
	line, _, _ := strings.Cut(text, "\r\n")
	t := L.CreateTable(0, 6)
	t.RawSetString("text", lua.LString(text))
	t.RawSetString("line", lua.LString(line))
	if v, ok := x.value(); ok {
		t.RawSetString("value", lua.LString(v))
	}
	t.RawSetString("time", inSeconds(x.ended-x.began))
	bad := line == "ERROR" || strings.HasPrefix(line, "ERROR ") || strings.HasPrefix(line, "SERVER_ERROR") || strings.HasPrefix(line, "CLIENT_ERROR")
	t.RawSetString("error", lua.LBool(bad))
	t.RawSetString("closed", lua.LBool(x.conn.closed))
	return t
}

func luaSend(f *file, L *lua.LState) int {
	w := f.here(L, "send")
	line, value := payload(L, 1)
	L.Push(f.result(L, f.sent(L, w.main(), line, value, "send"), "send"))
	return 1
}

func luaStart(f *file, L *lua.LState) int {
	w := f.here(L, "start")
	line, value := payload(L, 1)
	conn, err := w.free()
	if err != nil {
		L.RaiseError("start: %v", err)
	}
	x, err := conn.start(line, value)
	if err != nil {
		L.RaiseError("start: %v", err)
	}
	L.Push(f.userdata(x, f.callMT))
	return 1
}

// sent sends over a client's connection.
func (f *file) sent(L *lua.LState, c *client, line string, value *string, what string) *call {
	conn, err := c.connection()
	if err != nil {
		L.RaiseError("%s: %v", what, err)
	}
	x, err := conn.start(line, value)
	if err != nil {
		L.RaiseError("%s: %v", what, err)
	}
	return x
}

// main is the client of send.
func (w *world) main() *client {
	if w.direct == nil {
		w.direct = &client{w: w}
	}
	return w.direct
}

// connection is the client's, or a new one.
func (c *client) connection() (*conn, error) {
	if c.conn != nil && !c.conn.closed {
		return c.conn, nil
	}
	var err error
	c.conn, err = c.w.open(c.tag)
	return c.conn, err
}

func luaClient(f *file, L *lua.LState) int {
	c := &client{w: f.here(L, "client")}
	if t, ok := L.Get(1).(*lua.LTable); ok {
		if tag, ok := t.RawGetString("tag").(lua.LString); ok {
			c.tag = string(tag)
		}
	}
	L.Push(f.userdata(c, f.clientMT))
	return 1
}

var clientMethods = map[string]func(*file, *lua.LState) int{
	"send": func(f *file, L *lua.LState) int {
		c := self[*client](L)
		line, value := payload(L, 2)
		L.Push(f.result(L, f.sent(L, c, line, value, "send"), "send"))
		return 1
	},
	"start": func(f *file, L *lua.LState) int {
		c := self[*client](L)
		line, value := payload(L, 2)
		L.Push(f.userdata(f.sent(L, c, line, value, "start"), f.callMT))
		return 1
	},
}

var callMethods = map[string]func(*file, *lua.LState) int{
	"done": func(_ *file, L *lua.LState) int {
		L.Push(lua.LBool(self[*call](L).done))
		return 1
	},
	"wait": func(f *file, L *lua.LState) int {
		L.Push(f.result(L, self[*call](L), "wait"))
		return 1
	},
}
