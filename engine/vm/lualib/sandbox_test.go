package lualib

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// TestGlobals compares all that a script can reach with the list of what it may.
func TestGlobals(t *testing.T) {
	for name, opts := range map[string]Options{"globals": {}, "globals-unsafe": {Unsafe: true}} {
		L, _, _ := newState(t, opts)
		got := strings.Join(Globals(L), "\n") + "\n"
		golden := filepath.Join("testdata", name+".txt")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		compareLines(t, got, string(want))
	}
}

// TestSandbox: each script gives an error that holds the text.
func TestSandbox(t *testing.T) {
	files := func(path string) ([]byte, error) {
		switch path {
		case "m.lua", "dir/sub/m.lua":
			return []byte(`local name, file = ... return {name = name, file = file}`), nil
		case "new.lua":
			return []byte("local a <const>, b <close> = 7 // 2 << 1, nil\nreturn a | 1, '\\u{41}\\x42'"), nil
		case "bad.lua":
			return []byte("x = = 1"), nil
		case "lines.txt":
			return []byte("one\ntwo\n3.5 0x10\nlast"), nil
		case "bom.lua":
			return []byte("\uFEFF#!/usr/bin/lua\nreturn 'after the byte order mark'"), nil
		case "shebang.lua":
			return []byte("#!/usr/bin/lua\nreturn 'after the shebang'"), nil
		case "fails.lua":
			return []byte("\nerror('while loading')"), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
	}
	for _, c := range []struct {
		src     string
		loading bool
		want    string // the printed text, or what the error holds
	}{
		{`print(require("m").name, require("m").file, require("m") == require("m"))`, true, "m\tm.lua\ttrue\n"},
		{`package.path = "dir/?.lua;?.lua" print(require("sub.m").file)`, true, "dir/sub/m.lua\n"},
		{`print(select(2, dofile("new.lua")), loadfile("new.lua")(), require("new"), load("local a <const> = 7 // 2 return a ~ 1")())`, true,
			"AB\t7\t7\t2\n"},
		{`print(load("local a <const> = 1 a = 2", "=c"))`, false, "nil\tc:1: attempt to assign to const variable 'a'\n"},
		{`require("nothere")`, true, "module 'nothere' not found:\n\tno field package.preload['nothere']\n\tno file 'nothere.lua'"},
		{`require("bad")`, true, "error loading module 'bad' from file 'bad.lua':\n\tbad.lua:1: unexpected symbol near '='"},
		{`print(require("string") == string, require("_G") == _G)`, false, "true\ttrue\n"},
		{`require("m")`, false, "test.lua:1: require 'm': files can be read only while the configuration is being loaded"},
		{`dofile("m.lua")`, false, "test.lua:1: dofile 'm.lua': files can be read only while the configuration is being loaded"},
		{`loadfile("m.lua")`, false, "loadfile 'm.lua': files can be read only while"},
		{`io.open("lines.txt")`, false, "io.open 'lines.txt': files can be read only while"},
		{`io.lines("lines.txt")`, false, "io.lines 'lines.txt': files can be read only while"},
		{`package.searchpath("m", "?.lua")`, false, "package.searchpath 'm': files can be read only while"},
		{`print(dofile("bom.lua"))`, true, "after the byte order mark\n"},
		{`print(dofile("shebang.lua"), loadfile("shebang.lua")())`, true, "after the shebang\tafter the shebang\n"},
		{`dofile("fails.lua")`, true, "fails.lua:2: while loading"},
		{`dofile("nothere.lua")`, true, "cannot open nothere.lua: File does not exist"},
		{`print(loadfile("bad.lua"))`, true, "nil\tbad.lua:1: unexpected symbol near '='\n"},
		{`print(loadfile("m.lua", "b"))`, true, "nil\tattempt to load a text chunk (mode is 'b')\n"},
		{`io.open("lines.txt", "w")`, true, "io.open 'lines.txt': mode 'w' is not allowed: files can only be read"},
		{`local f = io.open("lines.txt") print(f:read("l", "L")) print(f:read("n", "*n")) print(f:read("l")) print(f:read("a"), f:read("a"), f:read("l"), f:read(1))`,
			true, "one\ttwo\n\n3.5\t16\n\nlast\t\tnil\tnil\n"},
		{`local f = io.open("lines.txt") print(f:read(2), f:seek(), f:seek("set", 4), f:read("*l"), f:seek("end"), io.type(f), f:close(), io.type(f), io.type(1))`,
			true, "on\t2\t4\ttwo\t21\tfile\ttrue\tclosed file\tnil\n"},
		{`local f = io.open("lines.txt") f:close() f:read()`, true, "attempt to use a closed file"},
		{`local f = io.open("lines.txt") f:read("x")`, true, "bad argument #2 to 'read' (invalid format)"},
		{`for l in io.lines("lines.txt") do print(l) end`, true, "one\ntwo\n3.5 0x10\nlast\n"},
		{`for a, b in io.lines("lines.txt", 1, "L") do print(a, b) break end`, true, "o\tne\n\n"},
		{`print(io.open("nothere"))`, true, "nil\tnothere: File does not exist\t0\n"},
		{`print(pcall(getmetatable("").__index))`, true, "attempt to index"},
		{`print(getmetatable(""), getmetatable(io.open("lines.txt")))`, true, "false\tfalse\n"},
		{`setmetatable("", {})`, false, "bad argument #1 to 'setmetatable' (table expected, got string)"},
		{`setmetatable(_G, {__index = function(_, k) error("undefined: " .. k, 2) end}) return undefinedname`, false, "test.lua:1: undefined: undefinedname"},
		{`string.len = nil print(("abc"):upper(), #"abc")`, false, "ABC\t3\n"},
		{`print(os.getenv("TIDEPOOL_TEST_VARIABLE"), os.getenv("TIDEPOOL_NO_SUCH"))`, false, "set\tnil\n"},
		{`print(os.time(), os.date("!%Y-%m-%d %H:%M:%S"), os.time({year = 2001, month = 9, day = 9, hour = 1}) ~= nil, os.difftime(5, 3), os.clock())`, false,
			"1000000000\t2001-09-09 01:46:40\ttrue\t2\t0\n"},
		{`local t = os.date("!*t", 0) print(t.year, t.month, t.day, t.hour, t.wday, t.yday, t.isdst)`, false, "1970\t1\t1\t0\t5\t1\tfalse\n"},
		{`print(os.date("!%a %A %b %B %d %j %p %U %W %V %G %g %w %u %C %% %e %D %R %T %y", 86400 * 45))`, false,
			"Sun Sunday Feb February 15 046 AM 07 06 07 1970 70 0 7 19 % 15 02/15/70 00:00 00:00:00 70\n"},
		{`os.date("%Q")`, false, "bad argument #1 to 'date' (invalid conversion specifier '%Q')"},
		{`os.time({year = 2000})`, false, "field 'month' missing in date table"},
		{`print(debug.sethook(), debug.traceback("msg", 9), debug.getinfo(1, "l").currentline, debug.getinfo(1).short_src, debug.getinfo(print).what)`, false,
			"nil\tmsg\nstack traceback:\t1\ttest.lua\tC\n"},
		{`print(newproxy, channel, module, setfenv, getfenv, loadstring, unpack, _printregs, string.dump, os.exit, io.write, io.popen, package.loadlib)`, false,
			strings.Repeat("nil\t", 12) + "nil\n"},
	} {
		t.Setenv("TIDEPOOL_TEST_VARIABLE", "set")
		out, err := run(t, Options{
			Loading: func() bool { return c.loading }, ReadFile: files, Path: "?.lua", Now: func() time.Time { return time.Unix(1_000_000_000, 0) },
		}, c.src)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s\n  error %v\n  want  %s", c.src, err, c.want)
			}
		} else if out != c.want {
			t.Errorf("%s\n  got  %q\n  want %q", c.src, out, c.want)
		}
	}
}

func TestUnsafe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	out, err := run(t, Options{Unsafe: true}, `
		local path = "`+path+`"
		local f = assert(io.open(path, "w")) f:write("a\nb\n", 3) f:close()
		print(io.type(f), io.open(path):read("a"))
		local f = io.open(path, "a+") f:seek("set") print(f:read("l")) f:close()
		print(type(os.execute), type(os.exit), type(debug.getlocal), package.loadlib("x", "y"))
		os.remove(path) print(io.open(path))
		print(pcall(function() local f = io.open("/nowhere/at/all", "w") return f end))`)
	if err != nil {
		t.Fatal(err)
	}
	want := "closed file\ta\nb\n3\na\nfunction\tfunction\tfunction\tnil\tdynamic libraries not enabled\tabsent\nnil\t" + path +
		": No such file or directory\t2\ntrue\tnil\n"
	if out != want {
		t.Errorf("got  %q\nwant %q", out, want)
	}
}

func TestPreload(t *testing.T) {
	opts := Options{Preload: map[string]func(L *lua.LState) (lua.LValue, error){
		"tidepool.x": func(L *lua.LState) (lua.LValue, error) { return lua.LString("module x"), nil },
		"broken":     func(L *lua.LState) (lua.LValue, error) { return nil, errors.New("no luck") },
	}}
	out, err := run(t, opts, `print(require("tidepool.x"), pcall(require, "broken"))`)
	if want := "module x\tfalse\tcannot open module 'broken': no luck\n"; err != nil || out != want {
		t.Errorf("got %q %v, want %q", out, err, want)
	}
}

// TestGuard turns Go panics in builtins into Lua errors, tells the host, and lets Lua errors pass.
func TestGuard(t *testing.T) {
	var told []string
	L, h, _ := newState(t, Options{Panicked: func(name string, v any, stack []byte) {
		if !strings.Contains(string(stack), "sandbox_test.go") {
			t.Errorf("the stack does not show where:\n%s", stack)
		}
		told = append(told, name)
	}})
	var list []int
	L.SetGlobal("broken", L.NewFunction(h.Guard("mcp.broken", func(L *lua.LState) int { L.Push(lua.LNumber(list[L.GetTop()])); return 1 })))
	L.SetGlobal("nilref", L.NewFunction(h.Guard("mcp.nilref", func(L *lua.LState) int { var t *lua.LTable; t.RawSetInt(1, nil); return 0 })))
	fn, err := h.Load([]byte(`
		local ok, e = pcall(broken) assert(not ok and e:find("^internal error in 'mcp.broken': runtime error: index out of range"), e)
		local ok, e = pcall(function() nilref() end) assert(not ok and e:find("^g.lua:3: internal error in 'mcp.nilref'"), e)
		local co = coroutine.create(broken) local ok, e = coroutine.resume(co) assert(not ok and e:find("mcp.broken"), e)
		local ok, e = xpcall(broken, function(e) return "handled " .. e end) assert(not ok and e:find("^handled internal error"), e)
		local ok, e = pcall(error, {1}) assert(e[1] == 1)
		broken()`), "g.lua")
	if err != nil {
		t.Fatal(err)
	}
	err = L.CallByParam(lua.P{Fn: fn, Protect: true})
	if err == nil || !strings.Contains(err.Error(), "g.lua:7: internal error in 'mcp.broken'") {
		t.Errorf("got %v", err)
	}
	if len(told) != 5 {
		t.Errorf("told of %v", told)
	}
}

// TestOverflow: stacks and registries that run over are errors of the script.
func TestOverflow(t *testing.T) {
	for name, src := range map[string]string{
		"recursion":               `local function f(n) return 1 + f(n + 1) end return f(1)`,
		"recursion in pcall":      `local function f() return 1 + f() end local ok, e = pcall(f) error(e, 0)`,
		"recursion in callback":   `local function f() return (("a"):gsub("a", f)) end return f()`,
		"recursion in __index":    `local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x`,
		"recursion in sort":       `local function f() table.sort({2, 1}, f) end f()`,
		"recursion in coroutines": `local function f() return coroutine.wrap(f)() end return f()`,
		"recursion in pcalls":     `local function f() local ok, e = pcall(f) error(e, 0) end f()`,
		"recursion in tostring":   `local t = setmetatable({}, {}) getmetatable(t).__tostring = function(t) return tostring(t) end tostring(t)`,
		"results":                 `local function f(...) return f(1, 2, 3, 4, 5, 6, 7, 8, ...) end f()`,
		"arguments":               `local t = {} for i = 1, 30000 do t[i] = i end local function f(...) return f(table.unpack(t), ...) end string.char(table.unpack(t), table.unpack(t)) f(table.unpack(t))`,
		"load":                    `local s = "return " .. ("("):rep(100000) .. "1" .. (")"):rep(100000) local ok, e = load(s) error(e, 0)`,
	} {
		t.Run(name, func(t *testing.T) {
			L, h, _ := newState(t, Options{})
			fn, err := h.Load([]byte(src), "test.lua")
			if err != nil {
				t.Fatal(err)
			}
			_, err = h.Call(L, fn)
			if err == nil {
				t.Fatal("no error")
			}
			msg := strings.SplitN(err.Error(), "\n", 2)[0]
			if L.GetTop() != 0 || h.depth != 0 {
				t.Errorf("%d values on the stack, depth %d", L.GetTop(), h.depth)
			}
			for _, ok := range []string{"overflow", "too many", "out of range"} {
				if strings.Contains(msg, ok) {
					return
				}
			}
			t.Errorf("got %q", msg)
		})
	}
}
