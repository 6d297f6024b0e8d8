package importer

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/vm"
	"github.com/tidepool-proxy/tidepool/tests/peer"
)

var update = flag.Bool("update", false, "write what the importers make into testdata")

// noStore stands in for the local store, which no test asks.
type noStore struct{}

func (noStore) Exec(_ *mc.Request, dst []byte) []byte { return append(dst, "SERVER_ERROR\r\n"...) }

// sources are the files of testdata, each with the options that it is imported with.
var sources = map[string]Options{
	"one.yml":       {Out: "routes.lua"},
	"every.yml":     {},
	"simple.json":   {},
	"routes.json":   {},
	"prefixes.json": {RoutePrefix: "/east/a/"},
}

func convert(name string, text []byte, o Options) ([]byte, error) {
	o.File = name
	if strings.HasSuffix(name, ".json") {
		return MCRouter(text, o)
	}
	return Nutcracker(text, o)
}

func source(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What people read is what lies in testdata, and a proxy loads it.
func TestGolden(t *testing.T) {
	for name, o := range sources {
		got, err := convert(name, source(t, name), o)
		if err != nil {
			t.Error(err)
			continue
		}
		golden := filepath.Join("testdata", name+".lua")
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(golden); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what comes of %s (%v): go test ./cmd/tidepool/importer -update, and look at the difference", golden, name, err)
		}
		if err := engine.Check(engine.Options{Files: []string{golden}, Local: noStore{}}); err != nil {
			t.Error(err)
		}
	}
}

// The files that are made are good Lua, without globals of their own or variables that nobody uses.
func TestLuacheck(t *testing.T) {
	luacheck := peer.Need(t, "luacheck")
	args := []string{"--no-color", "--no-max-line-length", "--std", "lua51", "--read-globals", "mcp", "--globals", "mcp_config_pools", "mcp_config_routes", "--"}
	for name := range sources {
		args = append(args, filepath.Join("testdata", name+".lua"))
	}
	if out, err := exec.Command(luacheck, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// wantError runs an importer over text and wants an Error at line that holds want.
func wantError(t *testing.T, name, text string, line int, want string) {
	t.Helper()
	_, err := convert(name, []byte(text), Options{})
	var e *Error
	if !errors.As(err, &e) || e.File != name || e.Line != line || !strings.Contains(e.Msg, want) {
		t.Errorf("%s\ngives %v,\nwant %s:%d: ...%s...", text, err, name, line, want)
	}
}

func TestNutcrackerErrors(t *testing.T) {
	f := func(text string, line int, want string) {
		t.Helper()
		wantError(t, "n.yml", text, line, want)
	}
	pool := func(settings string) string {
		return "p:\n  listen: 127.0.0.1:1\n  servers:\n   - 127.0.0.1:11211:1\n" + settings
	}
	f("", 1, "the file is empty")
	f("p:\n  listen: [", 2, "")
	f("p:\n\tlisten: 1", 2, "found character that cannot start any token")
	f("- p", 1, "want pools")
	f("p: 7", 1, `pool "p": want settings`)
	f(pool("q:\n  listen: 127.0.0.1:2\np:\n  listen: x\n"), 5, `pool "q": servers is missing`)
	f(pool("p:\n  listen: x\n"), 5, `pool "p": there is another pool of this name`)
	f("p:\n  servers:\n   - 127.0.0.1:11211:1\n", 1, `pool "p": listen is missing`)
	f(pool("---\nq: 1\n"), 5, "want one YAML document")
	f(pool("  hsh: md5\n"), 5, `unknown setting "hsh"`)
	f(pool("  hash: md6\n"), 5, `hash: "md6" is no hash; there are one_at_a_time, md5,`)
	f(pool("  hash: md5\n  hash: md5\n"), 6, `hash is there twice`)
	f(pool("  distribution: ring\n"), 5, `distribution: "ring" is no distribution; there are ketama, modula, random`)
	f(pool("  hash_tag: \"{\"\n"), 5, `hash_tag: want two characters, got "{"`)
	f(pool("  hash_tag: {}\n"), 5, `hash_tag: want one value`)
	f(pool("  timeout: soon\n"), 5, `timeout: want a number from 0 on, got "soon"`)
	f(pool("  preconnect: yes\n"), 5, `preconnect: want true or false, got "yes"`)
	f(pool("  server_connections: 0\n"), 5, `server_connections: want a number from 1 on, got "0"`)
	f(pool("  redis: true\n"), 5, `redis: "true": Tidepool speaks the memcached protocol only`)
	f(pool("  redis_auth: secret\n"), 5, `redis_auth: Tidepool speaks`)
	f("p:\n  listen: nowhere\n", 2, `listen: want host:port or /path, got "nowhere"`)
	f("p:\n  listen: \"/x\\nos.exit()\"\n", 2, `"\n" is in no address, in "/x\nos.exit()"`)
	f("p:\n  listen: \"h\\n x = 1 --:1\"\n", 2, `is in no address`)
	f("p:\n  listen: /x;reboot\n", 2, `listen: ";" is in no address, in "/x;reboot"`)
	f(pool("q:\n  listen: 127.0.0.1:1\n  servers:\n   - h:1:1\n"), 5, `pool "q": listens on 127.0.0.1:1, as pool "p" does`)
	f("p:\n  listen: h:70000\n", 2, `"70000" is no port`)
	servers := func(s string) string { return "p:\n  listen: h:1\n  servers:\n   - h:1:1\n   - " + s + "\n" }
	f("p:\n  listen: h:1\n  servers: []\n", 3, "servers: want a list")
	f(servers("h:2"), 5, `no port in "h:2"`)
	f(servers("h:x:1"), 5, `no port is "x" in "h:x:1"`)
	f(servers("h:2:0"), 5, `no weight is "0" in "h:2:0"`)
	f(servers("h:2:1 a b"), 5, `more than a name in "h:2:1 a b"`)
	f(servers("h:1:5"), 5, `"h:1" is there twice`)
	f(servers("{ a: b }"), 5, "want host:port:weight [name]")
}

func TestSocketPermissionsAreToldOf(t *testing.T) {
	made, err := convert("n.yml", []byte("p:\n  listen: /tmp/s 0666\n  servers:\n   - h:1:1\n"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantIn(t, string(made), "--listen unix:/tmp/s FILE.lua", `-- listen: the socket's permissions "0666" are left out`)
}

func TestMCRouterErrors(t *testing.T) {
	f := func(text string, line int, want string) {
		t.Helper()
		wantError(t, "m.json", text, line, want)
	}
	f("", 1, "want a value, got the end of the file")
	f("[]", 1, "want an object, got an array")
	f("{\n\"a\": 1 \"b\": 2}", 2, `want ',' or '}', got "\"b\": 2}"`)
	f("{\n\"a\": tru}", 2, `want a value, got "tru}"`)
	f("{\n\"a\" 1}", 2, `want ':' after key "a", got "1}"`)
	f("{\na: 1}", 2, `want a key in quotes, got "a: 1}"`)
	f("{\n\"a\": 1,\n\"a\": 2}", 3, `key "a" is there twice`)
	f("{\n\"a\": \"x\n\"}", 2, "a string has no end")
	f("{ /* \n\n", 1, "a comment has no end")
	f("{} /* */ // \n x", 2, `want the end of the file, got "x"`)
	f(strings.Repeat("[", 500), 1, "more than 200 values are nested")
	f("{\n\"a\": 01e}", 2, `"01e" is no number`)
	f(`{ "pools": {} }`, 1, "neither route nor routes is there")
	f("{\n\"route\": \"NullRoute\",\n\"routes\": [] }", 3, "both route and routes are there")
	f("{\n\"macros\": {} }", 2, "macros cannot be imported")
	f("{\n\"route\": \"PoolRoute|%pool%\" }", 2, `"PoolRoute|%pool%": macros cannot be imported: import the configuration with %pool% filled in`)
	f("{\n\"route\": \"@import(x)\" }", 2, "macros cannot be imported")
	f("{\n\"route\": \"PoolRoute|A\" }", 2, `there is no pool "A"`)
	f("{\n\"route\": \"somewhere\" }", 2, `there is no route and no named handle "somewhere"`)
	f("{\n\"route\": 7 }", 2, "want an object, an array or a string, got a number")
	f("{\n\"route\": [\"NullRoute\", \"NullRoute\"] }", 2, "route: want one route, got 2")
	pool := func(fields string) string {
		return "{ \"pools\": { \"A\": {\n" + fields + "\n} },\n\"route\": \"PoolRoute|A\" }"
	}
	f(pool(`"servers": []`), 1, `pool "A": servers: there are none`)
	f(pool(`"servers": ["h"]`), 2, `pool "A": servers: want host:port, got "h"`)
	f(pool(`"servers": ["h:1:caret"]`), 2, `protocol "caret": Tidepool speaks memcached's own protocol only`)
	f(pool(`"servers": ["h:1:ascii:ssl"]`), 2, `security "ssl": an import cannot set up TLS`)
	f(pool(`"servers": ["h:1"], "protocol": "umbrella"`), 2, `protocol "umbrella"`)
	f(pool(`"servers": ["h:1"], "server_timeout": "1s"`), 2, "server_timeout: want milliseconds")
	f(pool(`"servers": ["h:1"], "weights": [2]`), 2, "weights: want a number from 0 to 1, got a number 2")
	f(pool(`"inherit": "B"`), 2, "inherit: there is no pool \"B\" that it could inherit from")
	f(pool(`"inherit": "A"`), 2, `pool "A": inherit: it leads back to the pool itself`)
	f(pool(`"servers": ["h:1"], "keep_routing_prefix": "true"`), 2, "keep_routing_prefix: want true or false, got a string true")
	f(pool(`"servers": ["h:1"], "use_ssl": 1`), 2, "use_ssl: want true or false, got a number 1")
	f(pool(`"servers": ["h:1"], "security_mech_cross_dc": "fizz"`), 2, `security "fizz": an import cannot set up TLS`)
	f(pool(`"servers": ["h:1"], "port_override": 0`), 2, "port_override: want a port, got a number 0")
	f(pool(`"servers": ["h:1"], "port_override_within_dc": 11212`), 2, "write their ports into servers")
	route := func(r string) string {
		return "{ \"pools\": { \"A\": { \"servers\": [\"h:1\"] } },\n\"route\":\n" + r + " }"
	}
	f(route(`{ "type": "FailoverRoute" }`), 3, "FailoverRoute: children is missing")
	f(route(`{ "type": "PoolRoute" }`), 3, "PoolRoute: pool is missing")
	f(route(`{ "type": "PoolRoute", "pool": "A", "hash": "WeightedCh3" }`), 3, "hash_func WeightedCh3 wants weights")
	f(route(`{ "type": "WarmUpRoute", "cold": "PoolRoute|A" }`), 3, "want cold and warm")
	f(route(`{ "type": "OperationSelectorRoute", "operation_policies": { "fetch": "NullRoute" } }`), 3, `there is no operation "fetch"`)
	f(route(`{ "type": "FailoverRoute", "name": "x", "children": ["x", "NullRoute"] }`), 3, `route "x" leads back to itself`)
	f("{ \"routes\": [\n{ \"aliases\": [\"/a/\"], \"route\": \"NullRoute\" } ] }", 2, `"/a/" is no routing prefix`)
	f("{ \"routes\":\n[ { \"route\": \"NullRoute\" } ] }", 2, "want an object with aliases, an array, and route")
}

func TestRoutePrefixMustBeThere(t *testing.T) {
	text := source(t, "prefixes.json")
	if _, err := MCRouter(text, Options{File: "m.json", RoutePrefix: "/north/a/"}); err == nil || !strings.Contains(err.Error(), `there is no "/north/a/", which --route-prefix names; there are /east/a/, /east/main/, /west/a/, /kept/a/`) {
		t.Errorf("got %v", err)
	}
	if _, err := MCRouter(text, Options{File: "m.json", RoutePrefix: "north"}); err == nil || !strings.Contains(err.Error(), `cannot use routing prefix "north"`) {
		t.Errorf("got %v", err)
	}
	made, err := MCRouter(text, Options{File: "m.json"})
	if err != nil || !bytes.Contains(made, []byte("say which route is theirs with --route-prefix")) {
		t.Errorf("without --route-prefix: %v\n%s", err, made)
	}
}

// imported is what comes of an mcrouter configuration.
func imported(t *testing.T, text string, o Options) string {
	t.Helper()
	made, err := convert("m.json", []byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	return string(made)
}

// wantIn wants each part in what was made.
func wantIn(t *testing.T, made string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(made, part) {
			t.Errorf("%q is missing in\n%s", part, made)
		}
	}
}

func TestPortOverride(t *testing.T) {
	made := imported(t, `{ "pools": { "A": { "servers": ["h:1", "[::1]:2", "unix:/s"], "port_override": 3, "protocol": "ASCII" } }, "route": "PoolRoute|A" }`, Options{})
	wantIn(t, made, `label = "h:3", host = "h", port = 3,`, `host = "::1", port = 3,`, `"unix:/s"`)
}

// Of two things of one name mcrouter uses the first, wherever the second stands.
func TestFirstOfANameIsUsed(t *testing.T) {
	made := imported(t, `{ "pools": { "A": { "servers": ["h:1"] }, "B": { "servers": ["h:2"] } }, "route": { "type": "AllSyncRoute", "children": [
		{ "type": "PoolRoute", "name": "x", "pool": "A" },
		{ "type": "PoolRoute", "name": "x", "pool": "B" },
		{ "type": "PoolRoute", "name": "y", "pool": "A" },
		{ "type": "PoolRoute", "pool": { "name": "A", "servers": ["h:3"] } } ] },
		"named_handles": [ { "type": "NullRoute", "name": "y" } ] }`, Options{})
	wantIn(t, made, "all_sync{ pools.A, pools.A, routes.y, pools.A }", "routes.y = neutral",
		`m.json:3: route "x": there is another of this name, on line 2: like mcrouter, that is the one that is used`,
		`m.json:4: route "y": there is another of this name, on line 6`, `m.json:5: pool "A": there is another of this name, on line 1`)
	if strings.Contains(made, "port = 3") {
		t.Errorf("the second pool of a name is used:\n%s", made)
	}
}

// A name may stand for several routes, or for a pool's servers.
func TestNamesOfLists(t *testing.T) {
	made := imported(t, `{ "pools": { "A": { "servers": ["h:1"] }, "B": { "servers": ["h:2", "h:3"] } },
		"named_handles": { "list": ["PoolRoute|A", "ErrorRoute"], "srv": { "type": "Pool", "name": "B" } },
		"route": { "type": "FailoverRoute", "children": ["list", "AllSyncRoute|srv", { "type": "HashRoute", "children": "srv" },
			{ "type": "HashRoute", "children": [ { "type": "Pool", "name": "C", "servers": ["h:4"] }, "PoolRoute|A" ] } ] } }`, Options{})
	wantIn(t, made, `pools.A, routes["list/2"], all_sync{ pools["B/1"], pools["B/2"] }, pools.B, pools["C+A"] }`)
	for _, not := range []string{"is used by no route", "has no equivalent"} {
		if strings.Contains(made, not) {
			t.Errorf("%q is in\n%s", not, made)
		}
	}
}

// mcrouter without --route-prefix sends keys without a prefix to /././.
func TestDefaultRoutePrefix(t *testing.T) {
	made := imported(t, `{ "routes": { "/././": "NullRoute", "/a/b/": "ErrorRoute" } }`, Options{})
	wantIn(t, made, `["/././"] = neutral`, "default = neutral", "m.json:1: keys that go to several routing prefixes at once")
	if strings.Contains(made, "say which route is theirs") {
		t.Errorf("--route-prefix is asked for in\n%s", made)
	}
}

// Hostile names end neither a comment nor a string.
func TestNamesStayInTheirPlace(t *testing.T) {
	const evil = `x\"]] os.exit() --[[ \n os.exit()`
	json := `{ "pools": { "` + evil + `": { "servers": ["h:1", "h:2"] } }, "` + evil + `": 1, "route": { "type": "FailoverRoute", "` + evil + `": 1, "children": ["PoolRoute|` + evil + `", "ErrorRoute|` + evil + `"] } }`
	yml := "\"" + evil + "\":\n  listen: h:1\n  servers:\n   - \"h:2:1 a\\\"b\\nc\"\n   - h:3:1\n"
	for name, text := range map[string]string{"m.json": json, "n.yml": yml} {
		made, err := convert(name, []byte(text), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		path := filepath.Join(t.TempDir(), "made.lua")
		if err := os.WriteFile(path, made, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := engine.Check(engine.Options{Files: []string{path}, Local: noStore{}}); err != nil {
			t.Errorf("%s: %v\n%s", name, err, made)
		}
	}
}

// compiles: whatever can be imported is Lua.
func compiles(t *testing.T, name string, text []byte) {
	made, err := convert(name, text, Options{})
	if err != nil {
		return
	}
	if _, err := vm.Compile(made, "made.lua"); err != nil {
		t.Errorf("%v in\n%s", err, made)
	}
}

func FuzzMCRouter(f *testing.F) {
	for _, name := range []string{"routes.json", "prefixes.json", "simple.json"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) { compiles(t, "m.json", text) })
}

func FuzzNutcracker(f *testing.F) {
	for _, name := range []string{"one.yml", "every.yml"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) { compiles(t, "n.yml", text) })
}
