// What commands do to keys that have moved, while the pool warms.

package warm

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newWorld runs three leaves, and one proxy that knows them; leaf-4 runs, too, and owns nothing.
func newWorld(t testing.TB, o Options) (*World, *Proxy) {
	t.Helper()
	w := NewWorld(o)
	t.Cleanup(w.Close)
	p, err := w.NewProxy()
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 4; i++ {
		if err := w.Start(fmt.Sprint("leaf-", i)); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(2 * time.Millisecond) // an epoch is a time, and leaves were started before it
	w.Decide(nil, "leaf-1", "leaf-2", "leaf-3")
	tell(t, w)
	return w, p
}

func tell(t testing.TB, w *World) {
	t.Helper()
	if err := w.Tell(); err != nil {
		t.Fatal(err)
	}
}

// grow makes leaf-4 an owner.
func grow(t testing.TB, w *World) {
	t.Helper()
	w.Decide(nil, "leaf-1", "leaf-2", "leaf-3", "leaf-4")
	tell(t, w)
}

// keysOf gives n keys that leaf owns when those are the members.
func keysOf(t testing.TB, p *Proxy, leaf string, n int) (keys []string) {
	t.Helper()
	for i := 0; len(keys) < n; i++ {
		if key := fmt.Sprint("key-", i); p.Pool.Explain([]byte(key)).Member.Name == leaf {
			keys = append(keys, key)
		}
	}
	return keys
}

// movedKeys gives n keys that leaf-4 will own.
func movedKeys(t testing.TB, n int) []string {
	t.Helper()
	w := NewWorld(Options{})
	t.Cleanup(w.Close)
	p, err := w.NewProxy()
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 4; i++ {
		if err := w.Start(fmt.Sprint("leaf-", i)); err != nil {
			t.Fatal(err)
		}
	}
	grow(t, w)
	return keysOf(t, p, "leaf-4", n)
}

func do(t testing.TB, c *Client, request, want string) {
	t.Helper()
	got, err := c.Do(request)
	if err != nil {
		got = "ERR " + err.Error()
	}
	if got != want {
		t.Errorf("%q: %q, want %q", request, got, want)
	}
}

// TestRules goes through the table of docs/resizing.md: before a key moves it holds 5 with flags 7 and some time to live, or nothing.
func TestRules(t *testing.T) {
	rows := []struct{ request, held, none string }{
		{"get K\r\n", "VALUE K 7 1\r\n5\r\nEND\r\n", "END\r\n"},
		{"mg K v f t k Oq\r\n", "VA 1 f7 t1000 kK Oq\r\n5\r\n", "EN kK Oq\r\n"},
		{"mg K v N30\r\n", "VA 1\r\n5\r\n", "VA 0 W\r\n\r\n"},
		{"mg K T50 t\r\n", "HD t50\r\n", "EN\r\n"},
		{"gat 50 K\r\n", "VALUE K 7 1\r\n5\r\nEND\r\n", "END\r\n"},
		{"touch K 50\r\n", "TOUCHED\r\n", "NOT_FOUND\r\n"},
		{"set K 0 0 1\r\n6\r\n", "STORED\r\n", "STORED\r\n"},
		{"ms K 1\r\n6\r\n", "HD\r\n", "HD\r\n"},
		{"add K 0 0 1\r\n6\r\n", "NOT_STORED\r\n", "STORED\r\n"},
		{"ms K 1 ME\r\n6\r\n", "NS\r\n", "HD\r\n"},
		{"replace K 0 0 1\r\n6\r\n", "STORED\r\n", "NOT_STORED\r\n"},
		{"append K 0 0 1\r\n6\r\n", "STORED\r\n", "NOT_STORED\r\n"},
		{"prepend K 0 0 1\r\n6\r\n", "STORED\r\n", "NOT_STORED\r\n"},
		{"cas K 0 0 1 1\r\n6\r\n", "EXISTS\r\n", "NOT_FOUND\r\n"},
		{"incr K 3\r\n", "8\r\n", "NOT_FOUND\r\n"},
		{"decr K 3\r\n", "2\r\n", "NOT_FOUND\r\n"},
		{"ma K D3 v\r\n", "VA 1\r\n8\r\n", "NF\r\n"},
		{"ma K N0 J9 v\r\n", "VA 1\r\n6\r\n", "VA 1\r\n9\r\n"},
		{"delete K\r\n", "DELETED\r\n", "NOT_FOUND\r\n"},
		{"md K k Ox\r\n", "HD kK Ox\r\n", "NF kK Ox\r\n"},
		{"md K C1\r\n", "EX\r\n", "NF\r\n"},
		{"md K I T30\r\n", "HD\r\n", "NF\r\n"},
	}
	keys := movedKeys(t, 2*len(rows))
	w, p := newWorld(t, Options{Warm: time.Minute})
	c := p.Client(1)
	for i := range rows {
		do(t, c, "set "+keys[2*i]+" 7 1000 1\r\n5\r\n", "STORED\r\n")
	}
	grow(t, w)
	for i, row := range rows {
		do(t, c, replaceK(row.request, keys[2*i]), replaceK(row.held, keys[2*i]))
		do(t, c, replaceK(row.request, keys[2*i+1]), replaceK(row.none, keys[2*i+1]))
	}
}

func replaceK(s, key string) string {
	out := ""
	for _, c := range s {
		if c == 'K' {
			out += key
		} else {
			out += string(c)
		}
	}
	return out
}
