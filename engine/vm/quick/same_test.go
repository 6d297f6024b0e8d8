// What machines do is what gopher-lua does: functions run on both, and on machines that are made to leave anywhere.

package quick_test

import (
	"fmt"
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm"
)

// prelude is what the bodies of the functions under test have around them. wait(v) waits and gives what it is resumed with; swap(x, y) gives y, x, nil
// as a native does, slow(v) gives v and is none; ud is an object of the program's, with a method get.
const prelude = `
local up, n, list, map = 1, 0, { 10, 20, 30 }, { a = 1, b = "two" }
local Class = {}
Class.__index = Class
function Class:twice(x) return x * 2, self.k end
function Class.make(k) return setmetatable({ k = k }, Class) end
local object = Class.make("key")
local odd = setmetatable({}, {
    __index = function(t, k) return "no " .. tostring(k) end, __newindex = function(t, k, v) n = n + v end, __call = function(self, x) return x, x end,
    __add = function() return "sum" end, __eq = function() return true end, __lt = function() return true end, __le = function() return false end,
    __len = function() return 42 end, __unm = function() return "minus" end, __concat = function() return "joined" end,
})
local other = setmetatable({}, getmetatable(odd))
local bad = setmetatable({}, { __lt = function() wait("less") error("bad") end })
local function pair(x) return x, x .. "!" end
local function none() end
local function waits(x) return wait(x) end
local function between(x) local y = wait(x) return y .. x, x end
local function sum(a, b, c) return (a or 0) + (b or 0) + (c or 0) end
local function fib(x) if x < 2 then return x end return fib(x - 1) + fib(x - 2) end
local function down(x) if x == 0 then return "done" end return down(x - 1) end
local function vary(...) return select("#", ...), ... end
function route(r) `

// bodies of functions, with results as gopher-lua's are.
var bodies = []string{
	"return r",
	"return",
	"local x",
	"return nil, 1",
	"return r, 1, 2",
	"local a, b = r return b, a",
	"local a <const> = 5 return a + 1, a - 1, a * 2, a / 2, a % 3, a ^ 2, -a, a // 2, a & 4, ~a",
	"return 7 % -3, -7 % 3, 5.5 % 2, 1 / 0, -1 / 0, 0 / 0 ~= 0 / 0, -0.0",
	"return 'a' .. 1 .. r, 'x' .. 1.5, #'abc', #list, not r, not nil",
	"return 1 + '2'",
	"return r + 1",
	"return {} + 1",
	"return -{}",
	"return #5",
	"return nil .. 'x'",
	"return r.x.y",
	"return r:x()",
	"return list.x.y",
	"return none().x",
	"return undefined",
	"return undefined.x",
	"undefined()",
	"map.a()",
	"list[nil] = 1",
	"list[0/0] = 1",
	"return list[nil], list[0/0], list[1.5], list['x'], map.a, map['b'], map[1], list[#list]",
	"return 1 == 1.0, 'a' == 'a', nil == false, list == list, list == map, list == {}, r == 'r', 1 == '1', true == true, pair == pair, pair == none",
	"return 1 < 2, 2 <= 2, 3 > 4, 'a' < 'b', 'a' <= 'a', 1 ~= 2",
	"return 1 < 'x'",
	"return {} < {}",
	"return odd + 1, odd == other, odd < other, odd <= other, #odd, -odd, odd .. 'x', odd.field, odd(3)",
	"odd.x = 5 odd[1] = 6 return n",
	"local a, b, c = odd(1) return a, b, c",
	"return odd(9)",
	"local x = r and 'yes' or 'no' local y = nil or r local z = false and r return x, y, z, r and nil, nil and r",
	"if r == 'r' then up = up + 1 elseif r then up = 0 else up = -1 end return up",
	"local s = 0 for i = 1, 10 do s = s + i end return s",
	"local s = '' for i = 10, 1, -3 do s = s .. i end return s",
	"local s = 0 for i = 1, 0 do s = 1 end for i = 1.5, 3 do s = s + i end return s",
	"for i = 1, 'x' do end",
	"for i = 1, 10, 0 do n = n + 1 if n > 5 then break end end return n",
	"local s = 0 for i, v in ipairs(list) do s = s + i * v end return s",
	"local s = {} for k, v in pairs(map) do s[#s + 1] = k .. tostring(v) end table.sort(s) return table.concat(s)",
	"for k in pairs(nil) do end",
	"for i, v in ipairs(odd) do return i, v end",
	"local s = '' for k, v in next, { 5, 6 } do s = s .. k .. v end return s",
	"local s = 0 while s < 5 do s = s + 1 if s == 3 then break end end return s",
	"local s = 0 repeat local x = s s = s + 1 until x > 3 return s",
	"local s = 0 ::top:: s = s + 1 if s < 4 then goto top end return s",
	"local t = { 1, 2, x = 3, [r] = 4, { 5 }, n = none() } return t[1], t[2], t.x, t[r], t[3][1], t.n",
	"local t = { pair('p') } return #t, t[1], t[2]",
	"local t = { vary(1, 2) } return #t, t[1]",
	"local t = {} t.a = 1 t[r] = 2 t[1] = 3 t[2] = 4 t[2] = nil t[100] = 5 t.a = nil return #t, t.a, t[r], t[1], t[2], t[100]",
	"local t = { { {} } } t[1][1].x = r return t[1][1].x",
	"list[2], map.a = map.a, list[2] return list[2], map.a",
	"local a, b, c = pair(r) return a, b, c",
	"local a = pair(r) return a",
	"return pair(r)",
	"return (pair(r))",
	"return pair(r), pair(r)",
	"return sum(1, pair(2))",
	"return sum(1), sum(1, 2, 3, 4), sum()",
	"return sum(pair(1))",
	"return none()",
	"return (none())",
	"local a, b = none() return a, b",
	"return #{ none() }, #{ (none()) }, #{ pair(1), pair(1) }",
	"return fib(10)",
	"return down(50)",
	"local function deep(x) return 1 + deep(x + 1) end return deep(1)",
	"return vary(r, 1, nil)",
	"return select(2, 'a', 'b', 'c'), select('#', pair(r))",
	"return object:twice(4)",
	"local a, b = object:twice(4) return b, a",
	"return object.missing, object.twice == Class.twice",
	"return object:missing()",
	"return Class.make(r).k",
	"return (r):upper(), r:rep(3), r:len(), ('x'):byte(), r:sub(1, 1):lower()",
	"return r:nothing()",
	"return r:find('r'), string.match('a/b', '^(%w+)/'), string.match('abcdefgh', '(.)(.)(.)(.)(.)(.)(.)(.)')",
	"return string.rep()",
	"return math.floor(1.5), math.max(1, 3, 2), math.max(), 1",
	"return tostring(nil), tonumber('0x10'), tonumber('z'), type(r), type(), 1",
	"return pcall(error, 'x')",
	"return pcall(none), pcall(pair, r), select(2, pcall(undefined))",
	"local ok, err = pcall(function() return r.x.y end) return ok, err",
	"local f = function(x) up = up + x return r .. x end return f(2), up",
	"local fs = {} for i = 1, 3 do fs[i] = function() i = i + 1 return i end end return fs[1](), fs[1](), fs[2]()",
	"local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) return co(1), co(5)",
	"return debug and debug.traceback and 1",
	"error('plain', 0)",
	"error('placed')",
	"error({ r })",
	"return swap(1, 2)",
	"local a, b, c, d = swap(1, 2) return d, c, b, a",
	"return sum(swap(1, 2)), (swap(1, 2)), #{ swap(1, 2) }",
	"return swap()",
	"return slow(r), slow(1), (slow(nil))",
	"return sum(slow(1), slow(2), wait(3))",
	"return ud:get(1), ud.get, ud:get(wait('x'))",
	"return ud:missing()",
	"return ud.x.y",
	"return ud(5), ud(wait('u'))",
	"return ud == ud, ud == 1, ud ~= nil",
	"broken()",
	"local z = 0 return 1 / -z, 1 / z, 1 / (0 * -1)",
	"local it, s = ipairs({ 'x' }) local _, v = it(s) return v",
	"local it = ipairs({ 5 }) return it()",
	"return (pairs(map))(map), (pairs(map))()",
	"return math.max(bad, bad)",
	"return math.max(odd, other) == other, string.format('%s', odd.x), tostring(object):sub(1, 5)",
	"local t = {} table.insert(t, ud) table.insert(t, 1, r) table.insert(t, nil) return #t, table.remove(t), table.concat({ r, 2 }, '-')",
	"table.insert(odd, 5) return n",
	"return pcall(broken), wait(1)",
	"return wait(r)",
	"return (wait(r))",
	"local x = wait(r) return x",
	"local x = wait(r) return x, 1",
	"local x, y = wait(r) return y, x",
	"return wait(r), wait('b')",
	"return wait(r) .. wait('b')",
	"wait(r) wait('b') return n",
	"return waits(r)",
	"local x = waits(r) return x",
	"return waits(wait(waits('a')))",
	"return between(between(r))",
	"local a, b, c = between(r) return c, b, a",
	"local s = '' for i = 1, 3 do s = s .. wait(i) end return s",
	"local s = '' for i, v in ipairs(list) do s = s .. wait(v) if i == 2 then return s, i end end",
	"local s = '' for x in function() if #s < 2 then return wait(r) end end do s = s .. x end return s",
	"if wait(r) == 'r' then return wait('yes') else return wait('no') end",
	"local t = { wait(1), wait(2), k = wait(3) } return t[1], t[2], t.k",
	"local ok, x = pcall(wait, r) local y = wait('b') return ok, x, y",
	"local x = wait(r) local f = function() return x end return f() .. wait('b')",
	"local x = wait(r) error(x)",
	"local x = wait(r) return x.y.z",
	"return string.gsub('ab', '.', function(c) return c .. c end)",
	"while true do up = up + 1 end",
	"local s = 'x' while true do s = s .. s end",
	"for i = 1, 1000 do wait(i) end return 'over'",
	"local a = 1 do local a = 2 r = r .. a end return r .. a",
	"local x = 300 local y = x + 1000 return y, y == 1300, y - 1299.5",
	"r = nil return r",
	"up, n = n, up return up, n",
	"local a, b, c, d, e = 1, 2 return e, d, c, b, a",
	"return r, nil, nil",
	"return map.a == 1 and map.b or 2, (map.a ~= 1 and 1 or 'c')",
	"local x = not (r == 'r') local y = r ~= 'r' local z = 1 < 2 return x, y, z, not x",
	"return table.concat({ 1, 2 }, ','), table.unpack({ 1, 2, 3 })",
	"return rawget(odd, 'x'), rawequal(odd, other), rawlen({ 1 }), rawset({}, 'a', 1).a",
	"return ipairs(list)",
	"return next({}), next({ 5 })",
}

// outcome is what a function did: its result or error, what it waited for, the steps that it took, and what is left of its variables.
type outcome struct {
	result, err, trace, waited string
	steps                      int64
}

// state is one in which functions run.
type state struct {
	*vm.State
	waited []string
	left   int
}

func newState(t testing.TB) *state {
	t.Helper()
	s, err := vm.New(vm.Options{Steps: 5000, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.Lock()
	t.Cleanup(func() { s.Close(); s.Unlock() })
	x := &state{State: s}
	native := func(name string, f lua.LGFunction) *lua.LFunction {
		fn := s.L.NewFunction(f)
		s.L.SetGlobal(name, fn)
		s.Host.Quick.Add(fn, s.Host.Native(f))
		return fn
	}
	native("wait", func(L *lua.LState) int {
		x.waited = append(x.waited, L.Get(1).String())
		return s.Wait(L, func() {}, func() []lua.LValue { return []lua.LValue{x.answer()} })
	})
	native("swap", func(L *lua.LState) int {
		L.Push(L.CheckAny(2))
		L.Push(L.Get(1))
		L.Push(lua.LNil)
		return 3
	})
	native("broken", func(*lua.LState) int { panic("broken") })
	s.L.SetGlobal("slow", s.L.NewFunction(func(L *lua.LState) int {
		L.SetTop(1)
		return 1
	}))
	ud, mt, methods := s.L.NewUserData(), s.L.NewTable(), s.L.NewTable()
	ud.Metatable = mt
	mt.RawSetString("__index", methods)
	get := native("unused", func(L *lua.LState) int {
		L.Push(L.Get(2))
		return 1
	})
	methods.RawSetString("get", get)
	mt.RawSetString("__call", get)
	s.L.SetGlobal("ud", ud)
	s.Host.Quick.OnLeft = func(*lua.LFunction, int) { x.left++ }
	return x
}

// load gives route of a source whose functions and variables are new.
func (x *state) load(t testing.TB, source string) *lua.LFunction {
	t.Helper()
	x.Host.Seed(1)
	if err := x.Run([]byte(source), "r.lua"); err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	return x.L.GetGlobal("route").(*lua.LFunction)
}

// answer is what the last wait gives.
func (x *state) answer() lua.LValue { return lua.LString("<" + x.waited[len(x.waited)-1] + ">") }

// serve runs fn to its end.
func (x *state) serve(t testing.TB, fn *lua.LFunction) (o outcome) {
	t.Helper()
	x.waited, x.left = nil, 0
	task := x.NewTask()
	status := task.Start(fn, lua.LString("r"))
	for o.steps = task.Spent; ; o.steps += task.Spent {
		switch status {
		case vm.Waiting:
			status = task.Resume(x.answer())
			continue
		case vm.Returning:
			task.Return(x.answer())
			o.result = show(task.Result)
		case vm.Finished:
			o.result = show(task.Result)
		case vm.Failed:
			o.err = task.Err.Error()
			if e, ok := task.Err.(*vm.ScriptError); ok {
				o.trace = e.Traceback
			}
		}
		break
	}
	o.waited = strings.Join(x.waited, " ")
	x.FreeTask(task)
	if x.L.G.CurrentThread != x.L || x.Current() != nil {
		t.Error("another thread or task is left running")
	}
	return o
}

// show is a value, whose address does not matter.
func show(v lua.LValue) string {
	switch v.Type() {
	case lua.LTTable, lua.LTFunction, lua.LTUserData, lua.LTThread:
		return v.Type().String()
	}
	return fmt.Sprintf("%s %q", v.Type(), v.String())
}

// all runs body's statements so that every result is seen: a route gives only its first.
func all(body string) string {
	if i := strings.LastIndex(body, "return "); i >= 0 && !strings.Contains(body[i:], " end") && strings.Contains(body[i:], ",") {
		return body[:i] + "return joined(" + body[i+len("return "):] + ")"
	}
	return body
}

const joined = `
function joined(...)
    local s = select("#", ...) .. ":"
    for i = 1, select("#", ...) do
        local v = (select(i, ...))
        s = s .. " " .. (type(v) == "table" and "table" or type(v) == "function" and "function" or tostring(v))
    end
    return s
end`

// prototypes are fn's and those of the functions that it can call, as far as the state has them.
func prototypes(x *state, source string) []*lua.FunctionProto {
	var list []*lua.FunctionProto
	seen := map[*lua.FunctionProto]bool{}
	var add func(fn *lua.LFunction)
	add = func(fn *lua.LFunction) {
		if fn.IsG || seen[fn.Proto] || fn.Proto.SourceName != source {
			return
		}
		seen[fn.Proto] = true
		list = append(list, fn.Proto)
		for _, up := range fn.Upvalues {
			if f, ok := up.Value().(*lua.LFunction); ok {
				add(f)
			}
		}
	}
	add(x.L.GetGlobal("route").(*lua.LFunction))
	return list
}

// TestSame runs each body on a coroutine, on a machine, and on machines that leave at each of its instructions and those of what it calls.
func TestSame(t *testing.T) {
	x := newState(t)
	for _, body := range bodies {
		for _, b := range []string{body, all(body)} {
			same(t, x, prelude+b+"\nend"+joined)
		}
	}
}

func same(t testing.TB, x *state, source string) {
	t.Helper()
	x.Host.Quick.Off = true
	want := x.serve(t, x.load(t, source))
	x.Host.Quick.Off = false
	if x.left > 0 {
		t.Fatal("a machine was used")
	}
	check := func(got outcome, where string) {
		t.Helper()
		if strings.Contains(source, "pcall") { // a coroutine is charged only if it is new
			got.steps, want.steps = 0, 0
		}
		if got != want {
			t.Errorf("%s\n%s:\n%+v, want\n%+v", source[strings.LastIndex(source, "function route"):], where, got, want)
		}
	}
	check(x.serve(t, x.load(t, source)), "machine")
	x.load(t, source)
	for i, p := range prototypes(x, "r.lua") {
		for pc := range p.Code {
			fn := x.load(t, source)
			x.Host.Quick.LeaveAt(prototypes(x, "r.lua")[i], pc)
			check(x.serve(t, fn), fmt.Sprintf("function %d, left at %d", i, pc))
			if t.Failed() {
				return
			}
		}
	}
}
