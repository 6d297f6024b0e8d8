package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// look is what a disk held at one look, by path, and whether a load is wanted then. A load sees what the look saw.
type look struct {
	disk map[string]string
	load bool
}

func TestFollowerWaitsForWhatIsBeingWritten(t *testing.T) {
	f := func(name string, looks ...look) {
		t.Helper()
		var disk map[string]string
		read := func(path string) ([]byte, error) {
			text, ok := disk[path]
			if !ok {
				return nil, errors.New("not there")
			}
			return []byte(text), nil
		}
		last := map[string]digest{"a": digestOf([]byte("1"), nil), "b": digestOf([]byte("1"), nil), "gone": {}}
		fo := &follower{read: read, last: func() map[string]digest { return last }}
		for i, l := range looks {
			disk = l.disk
			if got := fo.look(); got != l.load {
				t.Errorf("%s: look %d: load %v, want %v", name, i+1, got, l.load)
			}
			if l.load {
				next := map[string]digest{}
				for path := range last {
					next[path] = digestOf(read(path))
				}
				last = next
			}
		}
	}
	same := map[string]string{"a": "1", "b": "1"}
	a2 := map[string]string{"a": "2", "b": "1"}
	ab2 := map[string]string{"a": "2", "b": "2"}
	half := map[string]string{"a": "", "b": "1"}
	without := map[string]string{"b": "1"}
	found := map[string]string{"a": "1", "b": "1", "gone": "x"}

	f("nothing", look{same, false}, look{same, false})
	f("a file", look{a2, false}, look{a2, true}, look{a2, false}, look{a2, false})
	f("one after the other", look{a2, false}, look{ab2, false}, look{ab2, true}, look{ab2, false})
	f("half written", look{half, false}, look{a2, false}, look{a2, true})
	f("there and back", look{a2, false}, look{same, false}, look{a2, false}, look{a2, true})
	f("away for a moment", look{without, false}, look{same, false}, look{same, false})
	f("away", look{without, false}, look{without, true}, look{without, false}, look{without, false})
	f("what was looked for and not found", look{found, false}, look{found, true}, look{found, false})
}

// until waits for what other goroutines bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s", what)
		}
	}
}

// TestFollow: files, modules and data that a configuration reads are followed; a mistake changes nothing and is not tried again.
func TestFollow(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		next := filepath.Join(dir, name+".next")
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	const main = `
local words = require("words")
function mcp_config_pools() return io.open("DIR/data.txt"):read("l") end
function mcp_config_routes(data) mcp.attach(mcp.CMD_MA, function(r) return words.say .. data .. "\r\n" end) end
`
	put("main.lua", strings.ReplaceAll(main, "DIR", dir))
	put("words.lua", `return { say = "HD one " }`)
	put("data.txt", "uno\n")
	p := startProxy(t, filepath.Join(dir, "main.lua"), func(o *Options) { o.Follow = 5 * time.Millisecond })
	c := dial(t, p)
	says := func(want string) {
		t.Helper()
		until(t, want, func() bool {
			c.says("ma k\r\n")
			line, err := c.r.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			return line == want+"\r\n"
		})
	}
	says("HD one uno")
	put("words.lua", `return { say = "HD two " }`)
	says("HD two uno")
	put("data.txt", "due\n")
	says("HD two due")

	fails := p.stats.reloadFails.Load()
	put("words.lua", "return {{\n")
	until(t, "the mistake to be found", func() bool { return p.stats.reloadFails.Load() > fails })
	says("HD two due")
	put("words.lua", `return { say = "HD three " }`)
	says("HD three due")
	if n := p.stats.reloadFails.Load() - fails; n != 1 {
		t.Errorf("the mistake was tried %d times", n)
	}
	if err := os.Remove(filepath.Join(dir, "words.lua")); err != nil {
		t.Fatal(err)
	}
	until(t, "the loss to be found", func() bool { return p.stats.reloadFails.Load() > fails+1 })
	put("words.lua", `return { say = "HD four " }`)
	says("HD four due")
}
