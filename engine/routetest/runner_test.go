// The runner itself: what fails must fail, and be told well.

package routetest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write makes a test file.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x_test.lua")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// runText runs a test file's text.
func runText(t *testing.T, o Options, text string) []Result {
	t.Helper()
	if o.Seed == 0 {
		o.Seed = 1
	}
	r := New(o)
	defer r.Close()
	return r.Run(write(t, text))
}

// body is the file of one case, whose text begins in line 3, with a route that asks a and tells of an error in words of its own.
func body(text string) string {
	return "it('x', function()\nroute('return function(r) return a(r) end', 'a', 'b')\n" + text + "\nend)"
}

// told is what came of each case, by name: "" for those that passed. The folder of the test file is left out.
func told(all []Result) map[string]string {
	m := map[string]string{}
	for _, res := range all {
		m[res.Name] = ""
		if res.Failure != nil {
			m[res.Name] = inTemp.ReplaceAllString(res.Failure.Error(), "")
		}
	}
	return m
}

var inTemp = regexp.MustCompile(`/\S*/`)

// TestFailures runs cases that fail, and looks at what is told.
func TestFailures(t *testing.T) {
	r := New(Options{Seed: 1})
	defer r.Close()
	for _, d := range []struct{ name, body, want string }{
		{"number", `expect(1):equals(2)`, "x_test.lua:3: want 2, got 1"},
		{"types", `expect("1"):equals(1)`, `x_test.lua:3: want 1, got "1"`},
		{"nil", `expect(1):is_nil()`, "x_test.lua:3: want nil, got 1"},
		{"true", `expect(1):is_true()`, "x_test.lua:3: want true, got 1"},
		{"false", `expect(nil):is_false()`, "x_test.lua:3: want false, got nil"},
		{"near", `expect(1.5):near(1, 0.1)`, "x_test.lua:3: want 1, give or take 0.1, got 1.5"},
		{"near what is no number", `expect(0/0):near(1, 0.1)`, "x_test.lua:3: want 1, give or take 0.1, got NaN"},
		{"matches", `expect("abc"):matches("^b")`, `x_test.lua:3: want a text that matches "^b", got "abc"`},
		{"contains", `expect({ 1, 2 }):contains(3)`, "x_test.lua:3: want a list that contains 3, got\n    1\n    2"},
		{"contains text", `expect("a\r\nb"):contains("c")`, "x_test.lua:3: want a text that contains \"c\", got\n    \"a\\r\\n\"\n    \"b\""},
		{"fail", `fail("because")`, "x_test.lua:3: because"},
		{"text", `expect(send("get foo").text):equals("VALUE foo 0 3\r\nbar\r\nEND\r\n")`, `x_test.lua:3: want (-), got (+):
  - "VALUE foo 0 3\r\n"
  - "bar\r\n"
    "END\r\n"`},
		{"order", `send("get x") send("get y") expect(seen()):equals{ "a: get y", "a: get x" }`, `x_test.lua:3: want (-), got (+):
  - "a: get y"
    "a: get x"
  + "a: get y"`},
		{"table", `expect{ a = 1, b = { 2, "x" }, [7] = true }:equals{ a = 1, b = { 2, "y" }, [7] = true }`, `x_test.lua:3: want (-), got (+):
    [7] = true
    a = 1
  - b = { 2, "y" }
  + b = { 2, "x" }`},
		{"no error", `expect(function() end):errors("x")`, "x_test.lua:3: want an error, got none"},
		{"another error", `expect(function() error("foo", 0) end):errors("bar")`, `x_test.lua:3: want an error that matches "bar", got "foo"`},
		{"an expectation is no error", "expect(function()\nexpect(1):equals(2)\nend):errors('want')", "x_test.lua:4: want 2, got 1"},
		{"Lua's", `local x x.y = 1`, "x_test.lua:3: attempt to index a nil value (local 'x')"},
		{"unknown global", `sent("get foo")`, "x_test.lua:3: attempt to call a nil value (global 'sent')"},
		{"for ever", `while true do end`, "x_test.lua:3: step budget exhausted: the script ran too long"},
		{"unknown backend", `backend("c")`, `x_test.lua:3: backend: there is no backend "c": there are ["a" "b"]`},
		{"unknown method", `backend("a"):answer("x")`, "x_test.lua:3: there is no answer"},
		{"no colon", `backend("a").works()`, "x_test.lua:3: call it with a colon: object:method(...)"},
		{"no answer", `backend("a"):answers("x")`, `x_test.lua:3: answers: "x" is not one answer of a backend`},
		{"unknown failure", `backend("a"):fails("x")`, `x_test.lua:3: there is no failure "x": want "timeout", "down" or "closed"`},
		{"never", `backend("a"):never() send("get foo")`, `x_test.lua:3: send: "get foo" is not answered: a has 1 requests that it does not answer`},
		{"no value", `send("set foo 0 0 3")`, `x_test.lua:3: send: "set foo 0 0 3" wants a value: give it as second argument`},
		{"watch", `send("watch")`, `x_test.lua:3: send: watch is not for tests`},
		{"syntax of a route", `route("return {", "a")`, "x_test.lua:3: route: [route at x_test.lua:3]:2: unexpected symbol near 'end'"},
		{"error of a route", `route("\nerror('foo')", "a")`, "x_test.lua:3: route: [route at x_test.lua:3]:2: foo"},
		{"a pool that is no name", `route("return a", "and")`, `x_test.lua:3: route: "and" cannot be a local variable, which a pool's name must be here`},
		{"no file", `config{ file = "nothing.lua" }`, "x_test.lua:3: config: cannot read configuration: open nothing.lua: no such file or directory"},
		{"no stage", `config("mcp_config_pools = 1")`, "x_test.lua:3: config: [config at x_test.lua:3]: mcp_config_pools is defined, but not mcp_config_routes"},
		{"called from", "local function f(x)\nexpect(x):equals(1)\nend\nlocal function g() f(2) return 1 end\ng()\nreturn 1",
			"x_test.lua:4: want 1, got 2\nfrom x_test.lua:6\nfrom x_test.lua:7"},
		{"Lua's, called from", "local function f()\nlocal x x.y = 1\nend\nf()\nreturn 1", "x_test.lua:4: attempt to index a nil value (local 'x')\nfrom x_test.lua:6"},
		{"logged", `route("return function() error('foo', 0) end") send("get x") fail("x")`,
			"x_test.lua:3: x\nlogged: error: route failed err=foo route=[route at x_test.lua:3]:1 tag= cmd=get key=x"},
		{"describe within", `describe("x", function() end)`, "x_test.lua:3: describe cannot stand in a test"},
	} {
		t.Run(d.name, func(t *testing.T) {
			res := r.Run(write(t, body(d.body)))
			if len(res) != 1 || res[0].Failure == nil {
				t.Fatalf("%d results, and no failure", len(res))
			}
			if got := told(res)["x"]; got != d.want {
				t.Errorf("tells\n%s\nwant\n%s", got, d.want)
			}
		})
	}
}

// TestFiles: what is wrong with a file is one failure.
func TestFiles(t *testing.T) {
	for _, d := range []struct{ name, text, want string }{
		{"syntax", "it('x', function()\n", "x_test.lua:2: 'end' expected (to close 'function' at line 1) near <eof>"},
		{"error", "\nerror('foo')", "x_test.lua:2: foo"},
		{"word of a test", "route('return a', 'a')", "x_test.lua:1: route belongs into a test: it, before_each or after_each"},
		{"wrong argument", "it('x')", "x_test.lua:1: bad argument #2 to it (function expected, got nil)"},
		{"no mcp", "mcp.log('x')", "x_test.lua:1: attempt to index a nil value (global 'mcp')"},
	} {
		t.Run(d.name, func(t *testing.T) {
			res := runText(t, Options{}, d.text)
			if len(res) != 1 || res[0].Failure == nil || res[0].Name != "" {
				t.Fatalf("%+v", res)
			}
			if got := told(res)[""]; got != d.want {
				t.Errorf("tells %q, want %q", got, d.want)
			}
		})
	}
	r := New(Options{})
	defer r.Close()
	if res := r.Run("nothing_test.lua"); len(res) != 1 || res[0].Failure == nil {
		t.Errorf("a file that is not there: %+v", res)
	}
}

// TestPasses runs what must pass: the meaning of every word.
func TestPasses(t *testing.T) {
	paths, err := Files([]string{"testdata"})
	if err != nil {
		t.Fatal(err)
	}
	r := New(Options{Seed: 1, StartArg: "foo"})
	defer r.Close()
	for _, path := range paths {
		for _, res := range r.Run(path) {
			if res.Failure != nil {
				t.Errorf("%s\n%v", res.Name, res.Failure)
			}
		}
	}
}

// TestOrder: hooks and cases run in the order in which they stand, outer ones around inner ones.
func TestOrder(t *testing.T) {
	var out strings.Builder
	res := runText(t, Options{Print: &out}, `
		before_each(function() print("b1") end)
		after_each(function() print("a1") end)
		describe("d", function()
			before_each(function() print("b2") end)
			after_each(function() print("a2") end)
			it("x", function() print("x") end)
			describe("e", function() it("y", function() print("y") error("no") end) end)
		end)
		it("z", function() print("z") end)`)
	if got, want := strings.Join(strings.Fields(out.String()), " "), "b1 b2 x a2 a1 b1 b2 y a2 a1 b1 z a1"; got != want {
		t.Errorf("runs %q, want %q", got, want)
	}
	want := map[string]string{"d x": "", "d e y": "x_test.lua:8: no", "z": ""}
	for name, failure := range told(res) {
		if w, ok := want[name]; !ok || w != failure {
			t.Errorf("%s: %q, want %q", name, failure, w)
		}
	}
}

func TestFilter(t *testing.T) {
	res := runText(t, Options{Filter: regexp.MustCompile("b .*2$")}, `
		for _, d in ipairs{ "a", "b" } do
			describe(d, function() for i = 1, 3 do it("case " .. i, function() end) end end)
		end`)
	if len(res) != 1 || res[0].Name != "b case 2" || res[0].Line != 3 {
		t.Errorf("%+v", res)
	}
}

// TestSeed: random numbers are the same every run, of scripts, of pools and of test files, and others with another seed.
func TestSeed(t *testing.T) {
	random := func(seed uint64) string {
		var out strings.Builder
		res := runText(t, Options{Seed: seed, Print: &out}, `
			for i = 1, 3 do it("x" .. i, function()
				config([[
					function mcp_config_pools()
						local a, b = mcp.backend("a", "a", 1), mcp.backend("b", "b", 1)
						return { p = mcp.pool({ a, b }, { dist = mcp.dist_random }), n = math.random(1e9) }
					end
					function mcp_config_routes(c)
						mcp.attach(mcp.CMD_GET, function(r) return c.p(r) end)
						mcp.attach(mcp.CMD_MG, function(r) return "SERVER_ERROR " .. c.n .. " " .. math.random(1e9) .. "\r\n" end)
					end]])
				print(math.random(1e9), send("mg foo").line)
				for _ = 1, 20 do send("get foo") end
				print(table.concat(seen()))
			end) end`)
		for name, failure := range told(res) {
			if failure != "" {
				t.Fatal(name, failure)
			}
		}
		return out.String()
	}
	a, again, b := random(1), random(1), random(2)
	if a != again {
		t.Errorf("the same seed gives\n%s and\n%s", a, again)
	}
	if a == b {
		t.Errorf("two seeds give\n%s", a)
	}
	if lines := strings.Split(a, "\n"); lines[0] == lines[2] || lines[1] == lines[3] || strings.Count(lines[1], "b: ") == 0 {
		t.Errorf("cases of one run have the same numbers:\n%s", a)
	}
}

// TestCoverage: lines of the user's files, required ones too, over all tests of a run.
func TestCoverage(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"conf.lua": `local more = require "more"
function mcp_config_pools()
	return {}
end
function mcp_config_routes()
	mcp.attach(mcp.CMD_GET, function(r)
		local k = r:key()
		if k == "foo" then
			return more.foo(k)
		elseif k == "bar" then
			return "SERVER_ERROR bar\r\n"
		end
		for i = 1, 2 do
			k = k .. i
		end
		while false do
			k = ""
		end
		return "SERVER_ERROR " .. k .. "\r\n"
	end)
end
`,
		"more.lua": "return {\n foo = function()\n  local x <close> = nil\n  goto done\n  do return 1 end\n  ::done::\n  return 'SERVER_ERROR foo\\r\\n'\n end }\n",
		"a_test.lua": `for _, k in ipairs{ "foo", "baz" } do it(k, function()
			config{ file = "conf.lua" }
			expect(send("get " .. k).line):matches("^SERVER_ERROR " .. k)
		end) end`,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := New(Options{Seed: 1, Coverage: true})
	defer r.Close()
	for _, res := range r.Run(filepath.Join(dir, "a_test.lua")) {
		if res.Failure != nil {
			t.Error(res.Failure)
		}
	}
	got := ""
	for _, c := range r.Coverage() {
		got += filepath.Base(c.File) + ": " + c.Missed() + "\n"
	}
	if want := "conf.lua: 11, 17\nmore.lua: 5\n"; got != want {
		t.Errorf("never ran:\n%s want\n%s", got, want)
	}
	if c := r.Coverage()[0]; c.Lines != 15 || c.Share() < 0.86 || c.Share() > 0.87 {
		t.Errorf("%d lines, %f", c.Lines, c.Share())
	}
}

// TestCoverageOfTheLibrary: without files of the user it is told of the route library's.
func TestCoverageOfTheLibrary(t *testing.T) {
	r := New(Options{Seed: 1, Coverage: true})
	defer r.Close()
	r.Run(write(t, body(`route([[return require "routes.zoned"{ zones = { x = a }, near = "x" }]], "a") send("get foo")`)))
	found := false
	for _, c := range r.Coverage() {
		found = found || c.File == "[routes/zoned.lua]" && c.Lines > 10 && len(c.Never) > 0 && len(c.Never) < c.Lines
	}
	if !found {
		t.Errorf("%+v", r.Coverage())
	}
}

func TestJUnit(t *testing.T) {
	res := runText(t, Options{}, "it('a & b', function() end)\nit('c', function() expect(1):equals(2) end)")
	for i := range res {
		res[i].File, res[i].Took = "dir/x_test.lua", 1500000
		if res[i].Failure != nil {
			res[i].Failure.Place = "x_test.lua:2"
		}
	}
	var out strings.Builder
	if err := WriteJUnit(&out, res); err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="dir/x_test.lua" tests="2" failures="1" time="0.003000">
    <testcase classname="x_test" name="a &amp; b" file="dir/x_test.lua" line="1" time="0.001500"></testcase>
    <testcase classname="x_test" name="c" file="dir/x_test.lua" line="2" time="0.001500">
      <failure message="want 2, got 1">x_test.lua:2: want 2, got 1</failure>
    </testcase>
  </testsuite>
</testsuites>
`
	if out.String() != want {
		t.Errorf("writes\n%s want\n%s", &out, want)
	}
}

func TestPaths(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a_test.lua", "b.lua", "c/d_test.lua", "c/.e/f_test.lua"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, d := range []struct{ args, want string }{
		{"b.lua", "b.lua"},
		{".", "a_test.lua"},
		{"./a_test.lua . a_test.lua", "a_test.lua"},
		{"./...", "a_test.lua c/d_test.lua"},
		{"...", "a_test.lua c/d_test.lua"},
		{"c/", "c/d_test.lua"},
		{"nothing", ""},
		{"c/.e c/...", "c/.e/f_test.lua c/d_test.lua"},
	} {
		got, err := Files(strings.Fields(d.args))
		if strings.Join(got, " ") != d.want || (err == nil) != (d.want != "") {
			t.Errorf("%s: %q, %v, want %q", d.args, got, err, d.want)
		}
	}
}

// TestLibrary: the route library may be another than the binary's, as for mutations of it.
func TestLibrary(t *testing.T) {
	own := fstest.MapFS{"direct.lua": {Data: []byte(`return function(pool) return function(r) mcp.log("mine") return pool(r) end end`)}}
	res := runText(t, Options{Routes: own}, `it("x", function()
		route([[return require "routes.direct"(a)]], "a")
		send("get foo")
		expect(log()):equals{ "mine" }
	end)`)
	if failure := told(res)["x"]; failure != "" {
		t.Error(failure)
	}
	res = runText(t, Options{Routes: fstest.MapFS{"direct.lua": {Data: []byte(`return 1 +`)}}}, `it("x", function() end)`)
	if failure := told(res)["x"]; !strings.Contains(failure, "[routes/direct.lua]:1: unexpected symbol near <eof>") {
		t.Error(failure)
	}
}

// TestRunAll: several files at once are told of as one after the other.
func TestRunAll(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for i := range 7 {
		path := filepath.Join(dir, string(rune('a'+i))+"_test.lua")
		text := fmt.Sprintf(`for i = 1, 20 - 3 * %d do it("x" .. i, function()
			print(%d, i, math.random(1e6))
			route("return function(r) return a(r) end", "a")
			send("get foo") if i == 2 then fail() end
		end) end`, i, i)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	run := func(parallel int) string {
		var out strings.Builder
		all, _ := RunAll(paths, Options{Seed: 1, Print: &out, Done: func(res Result) {
			fmt.Fprintln(&out, res.File, res.Name, res.Failure != nil)
		}}, parallel)
		fmt.Fprintln(&out, len(all))
		return out.String()
	}
	one := run(1)
	if several := run(4); several != one || strings.Count(one, "true") != 7 || !strings.HasSuffix(one, "\n77\n") {
		t.Errorf("several at once:\n%s\none:\n%s", several, one)
	}
}
