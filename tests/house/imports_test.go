// Imports go one way. Tests may import what they like; what ships may not.

package house

import (
	"slices"
	"sort"
	"strings"
	"testing"
)

// ours says which of our packages each may import; "x/..." is x and all below it. A package that is not here fails
// the test: its place is decided before it is written. The parts that most others stand on come first.
var ours = []struct {
	pkg string
	may []string
}{
	{"engine/mc", nil},
	{"engine/mc/frame", nil},
	{"engine/stat", nil},
	{"engine/sock", nil},
	{"engine/natswire", nil},
	{"engine/watch", nil},
	{"pools/hash", nil},
	{"leaf/store", nil},
	{"scripts", nil},
	{"routes", nil},
	{"examples", nil},

	{"pools/backend", []string{"engine/mc", "engine/stat"}},
	{"pools/backend/memcached", []string{"engine/mc", "engine/stat", "engine/sock", "pools/hash", "pools/backend"}},
	{"pools/backend/leafnats", []string{"engine/mc/...", "engine/stat", "engine/sock", "engine/natswire", "pools/backend"}},
	{"pools", []string{"engine/mc/...", "engine/stat", "engine/sock", "pools/hash", "pools/backend", "pools/backend/memcached"}}, // leaves come by a factory: no NATS here

	{"leaf/command", []string{"engine/mc", "engine/watch", "leaf/store"}},
	{"leaf/access", nil},
	{"leaf/pipe", nil},
	{"leaf/stream", []string{"engine/mc", "engine/mc/frame", "leaf/store"}},
	{"leaf", []string{"engine/mc/...", "engine/stat", "engine/sock", "engine/natswire", "pools/hash", "leaf/..."}}, // hash: it knows which keys are its own

	{"engine/vm/...", []string{"engine/vm/..."}},
	{"engine/server", []string{"engine/mc", "engine/stat", "engine/sock"}},
	{"engine/auth", []string{"engine/mc", "engine/server"}},
	{"engine/face/wire", nil},
	{"engine/face", []string{"engine/face/wire", "engine/mc", "engine/server", "engine/stat"}},
	{"engine/topo", nil},
	{"engine/topo/...", []string{"engine/topo"}},
	{"engine/admin", nil},
	{"engine/fetch", []string{"engine/mc", "pools/backend"}},
	{"luaapi", []string{"engine/vm/...", "engine/mc", "engine/stat", "pools", "pools/hash", "pools/backend"}}, // contracts, not NATS
	{"engine/routetest", []string{"engine", "engine/mc", "engine/server", "engine/topo", "engine/vm", "luaapi", "pools", "pools/backend", "leaf/command", "leaf/store"}},
	{"engine", []string{"engine/...", "luaapi/...", "pools", "pools/hash", "pools/backend", "pools/backend/memcached", "scripts", "routes"}},

	{"client/...", []string{"client/...", "engine/face/wire", "engine/mc/...", "engine/stat", "engine/sock"}},
	{"cmd/tidepool/importer", nil},
	{"cmd/...", []string{"..."}},
	{"tests/...", []string{"..."}},
}

// libraries says where a library may be imported: it stays behind one door, so that it can be replaced.
var libraries = []struct {
	prefix string
	in     []string
}{
	{"github.com/yuin/gopher-lua", []string{"luaapi/...", "engine/vm/...", "engine/routetest"}},
	{"github.com/nats-io/nats-server", []string{"leaf", "tests/natsd"}},
	{"github.com/nats-io/nats.go", []string{"leaf", "leaf/access", "leaf/stream", "pools/backend/leafnats", "engine/face", "client/...", "cmd/tidepool"}},
	{"github.com/nats-io/nkeys", []string{"leaf", "leaf/access"}},
	{"github.com/nats-io/jwt", []string{"leaf/access"}},
	{"github.com/dgraph-io/ristretto", []string{"leaf/store"}},
	{"go.etcd.io/", []string{"engine/topo/..."}},
	{"google.golang.org/grpc", []string{"engine/topo/etcd"}}, // what etcd's client has no option for
	{"go.uber.org/zap", []string{"engine/topo/etcd"}},
	{"github.com/spf13/", []string{"cmd/..."}},
	{"go.yaml.in/yaml/", []string{"cmd/tidepool/importer"}},
	{"github.com/prometheus/", []string{"engine", "engine/admin", "engine/stat", "leaf", "cmd/..."}},
	{"github.com/zeebo/xxh3", []string{"pools/hash", "leaf/..."}},
	{"github.com/cespare/xxhash", []string{"pools/hash", "leaf/..."}},
	{"pgregory.net/rapid", nil}, // tests only, as are those below
	{"go.uber.org/goleak", nil},
	{"github.com/anishathalye/porcupine", []string{"tests/linear", "tests/warm"}},
	{"github.com/rogpeppe/go-internal", nil},
	{"github.com/bradfitz/gomemcache", nil},
}

// matches: path is pattern, or lies under it when it ends in "...".
func matches(path, pattern string) bool {
	if dir, ok := strings.CutSuffix(pattern, "..."); ok {
		return dir == "" || under(path, strings.TrimSuffix(dir, "/"))
	}
	return path == pattern
}

func anyMatches(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(path, p) })
}

// allowed gives what pkg may import of ours; the first row that fits.
func allowed(pkg string) (may []string, listed bool) {
	for _, row := range ours {
		if matches(pkg, row.pkg) {
			return row.may, true
		}
	}
	return nil, false
}

// breaches says, a line each, what p imports and may not.
func breaches(p *pkg) (out []string) {
	may, listed := allowed(p.path)
	if !listed {
		return []string{p.path + " has no row in tests/house/imports_test.go: decide what it may import"}
	}
	for imp, in := range p.imports {
		if own, ok := strings.CutPrefix(imp, module+"/"); ok {
			if !anyMatches(own, may) {
				out = append(out, p.path+" may not import "+own+" ("+strings.Join(in, ", ")+")")
			}
			continue
		}
		for _, lib := range libraries {
			if strings.HasPrefix(imp, lib.prefix) && !anyMatches(p.path, lib.in) {
				out = append(out, p.path+" may not import "+imp+" ("+strings.Join(in, ", ")+")")
			}
		}
		if first, _, _ := strings.Cut(imp, "/"); strings.Contains(first, ".") && !knownLibrary(imp) {
			out = append(out, p.path+" imports "+imp+", which has no row in tests/house/imports_test.go")
		}
	}
	sort.Strings(out)
	return out
}

func knownLibrary(imp string) bool {
	if strings.HasPrefix(imp, "golang.org/x/") {
		return true
	}
	for _, lib := range libraries {
		if strings.HasPrefix(imp, lib.prefix) {
			return true
		}
	}
	return false
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		for _, line := range breaches(p) {
			t.Error(line)
		}
	}
}

// TestImportRulesBite keeps the rule itself honest.
func TestImportRulesBite(t *testing.T) {
	f := func(pkgPath, imp, want string) {
		t.Helper()
		if !strings.HasPrefix(imp, "github.com/") && !strings.HasPrefix(imp, "go.") && strings.Contains(imp, "/") {
			imp = module + "/" + imp
		}
		got := strings.Join(breaches(&pkg{path: pkgPath, imports: map[string][]string{imp: {"x.go"}}}), "\n")
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s importing %s: got %q, want %q", pkgPath, imp, got, want)
		}
	}
	f("engine/mc", "engine/stat", "may not import engine/stat")
	f("engine/mc", "bytes", "")
	f("pools", "engine/mc", "")
	f("pools", "pools/backend/leafnats", "may not import pools/backend/leafnats")
	f("luaapi", "leaf/store", "may not import leaf/store")
	f("engine", "leaf/store", "may not import leaf/store")
	f("engine/server", "github.com/yuin/gopher-lua", "may not import")
	f("engine/vm", "github.com/yuin/gopher-lua/ast", "")
	f("engine", "github.com/nats-io/nats.go", "may not import")
	f("leaf", "github.com/nats-io/nats-server/v2/server", "")
	f("leaf/store", "github.com/nats-io/nats-server/v2/server", "may not import")
	f("pools/backend/leafnats", "github.com/nats-io/nats-server/v2/server", "may not import")
	f("engine/topo", "go.etcd.io/etcd/client/v3", "")
	f("engine", "go.etcd.io/etcd/client/v3", "may not import")
	f("cmd/tidepool", "leaf/store", "")
	f("engine/mc", "github.com/some/body", "has no row")
	f("attic/thing", "bytes", "has no row")
}
