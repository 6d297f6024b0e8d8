// Cron: what the configuration state does by itself, and what it can learn of the proxy meanwhile.

package luaapi

import (
	"bytes"
	"strconv"

	lua "github.com/yuin/gopher-lua"
)

// Cron is a function that runs every so many seconds in the configuration state, never while a configuration loads.
type Cron struct {
	Name  string
	Every int64 // seconds
	Rerun bool  // false: it runs once
	Once  bool  // of all proxies that share a configuration in etcd, one runs it
	Func  *lua.LFunction
}

var cronFuncs = []Func{
	{"register_cron", StagePools, "name, {every=, func=, rerun=, once=}", "",
		"Has func run every so many whole seconds, in the configuration state. rerun = false: once. once = true: in one of the proxies that share a configuration in etcd, at the multiples of every in Unix time. What the latest load does not register is gone; what it registers with the same every keeps its phase.", registerCron},
	{"schedule_config_reload", StagePools, "", "", "For crons: loads the configuration again when the crons that are due have run.", func(a *API, _ *lua.LState) int {
		a.o.Config.ScheduleReload()
		return 0
	}},
	{"server_stats", StagePools, "name?", "table", "What `stats` and `stats name` tell, names to strings. Of items, slabs and conns a table for each number.", serverStats},
}

// maxEvery bounds what is added to clocks, in seconds: some thirty years.
const maxEvery = 1e9

func registerCron(a *API, L *lua.LState) int {
	c := Cron{Name: L.CheckString(1), Rerun: true}
	t := L.CheckTable(2)
	switch f := t.RawGetString("func").(type) {
	case *lua.LFunction:
		c.Func = f
	case *lua.LNilType:
		return raise(L, "proxy cron entry missing 'func' field")
	default:
		return raise(L, "proxy cron entry 'func' must be a function, got "+f.Type().String())
	}
	if v := t.RawGetString("rerun"); v != lua.LNil {
		c.Rerun = lua.LVAsBool(v)
	}
	c.Once = lua.LVAsBool(t.RawGetString("once"))
	if c.Once && !c.Rerun {
		return raise(L, "proxy cron entry: 'once' and 'rerun = false' cannot be meant together: one proxy runs it, again and again")
	}
	switch n := t.RawGetString("every").(type) {
	case lua.LNumber:
		if !(n >= 1) {
			return raise(L, "proxy cron entry 'every' must be > 0")
		}
		c.Every = int64(min(n, maxEvery))
	case *lua.LNilType:
		return raise(L, "proxy cron entry missing 'every' field")
	default:
		return raise(L, "proxy cron entry 'every' must be a number, got "+n.Type().String())
	}
	a.o.Config.RegisterCron(c)
	return 0
}

// serverStats is mcp.server_stats.
func serverStats(a *API, L *lua.LState) int {
	text, ok := a.o.Config.Stats(L.OptString(1, ""))
	if !ok || L.GetTop() > 0 && L.Get(1) == lua.LString("") {
		return raise(L, "unknown subcommand passed to server_stats")
	}
	all := L.NewTable()
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(bytes.TrimRight(line, "\r\n"), []byte("STAT "))
		if !ok {
			continue
		}
		name, value, _ := bytes.Cut(rest, []byte(" "))
		t, name := section(L, all, name)
		t.RawSetString(string(name), lua.LString(value))
	}
	L.Push(all)
	return 1
}

// section finds the table of a line "items:1:number" or "1:chunk_size", and its name there.
func section(L *lua.LState, all *lua.LTable, name []byte) (*lua.LTable, []byte) {
	number, inner, ok := bytes.Cut(bytes.TrimPrefix(name, []byte("items:")), []byte(":"))
	n, err := strconv.Atoi(string(number))
	if !ok || err != nil || len(inner) == 0 {
		return all, name
	}
	t, ok := all.RawGetInt(n).(*lua.LTable)
	if !ok {
		t = L.NewTable()
		all.RawSetInt(n, t)
	}
	return t, inner
}
