// The runner itself: what fails must fail, and be told well.

package routetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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

// run runs a test file's text.
func run(t *testing.T, o Options, text string) []Result {
	t.Helper()
	o.Seed = 1
	r := New(o)
	defer r.Close()
	return r.Run(write(t, text))
}

// TestFailures runs tests that fail, each the body of one `it`, and looks at what is told.
func TestFailures(t *testing.T) {
	for _, d := range []struct{ name, body, want string }{
		{"number", `expect(1):equals(2)`, "x_test.lua:3: want 2, got 1"},
		{"text", `expect(send("get foo").text):equals("VALUE foo 0 3\r\nbar\r\nEND\r\n")`, `x_test.lua:3: want (-), got (+):
  - "VALUE foo 0 3\r\n"
  - "bar\r\n"
    "END\r\n"`},
		{"order", `send("get x") send("get y") expect(seen()):equals{ "a: get y", "a: get x" }`, `x_test.lua:3: want (-), got (+):
  - "a: get y"
    "a: get x"
  + "a: get y"`},
		{"never", `backend("a"):never() send("get foo")`, `x_test.lua:3: send: "get foo" is not answered: a has 1 requests that it does not answer`},
	} {
		t.Run(d.name, func(t *testing.T) {
			res := run(t, Options{}, "it('x', function()\nroute('return function(r) return a(r) end', 'a')\n"+d.body+"\nend)")
			if len(res) != 1 || res[0].Failure == nil {
				t.Fatalf("%d results, and no failure", len(res))
			}
			_, got, _ := strings.Cut(res[0].Failure.Error(), "/x_test.lua")
			if got = "x_test.lua" + got; got != d.want {
				t.Errorf("tells\n%s\nwant\n%s", got, d.want)
			}
		})
	}
}
