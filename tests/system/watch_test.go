// A proxy that looks at its configuration files by itself.

package system_test

import (
	"os"
	"path/filepath"
	"testing"
)

// TestWatch: files that are swapped as Kubernetes swaps those of a ConfigMap, all at once by one symbolic link, are loaded without a signal.
func TestWatch(t *testing.T) {
	dir := t.TempDir()
	swap := func(version, say string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"routes.lua": `local words = require("words")
function mcp_config_pools() return true end
function mcp_config_routes() mcp.attach(mcp.CMD_GET, function(r) return words end) end`,
			"words.lua": `return "SERVER_ERROR ` + say + `\r\n"`,
		} {
			if err := os.WriteFile(filepath.Join(dir, version, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		next := filepath.Join(dir, "..data_tmp")
		if err := os.Symlink(version, next); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	swap("..1", "one")
	for _, name := range []string{"routes.lua", "words.lua"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, "proxy", filepath.Join(dir, "routes.lua"), "--watch", "20ms", "--listen", "127.0.0.1:0", "--admin", "none")
	c := dial(t, p.logged(0, "proxy serves")["addrs"].([]any)[0].(string))
	c.says("get k\r\n")
	c.sees("SERVER_ERROR one\r\n")

	swap("..2", "two")
	p.logged(0, "configuration loaded", `"generation":2`)
	c.says("get k\r\n")
	c.sees("SERVER_ERROR two\r\n")

	swap("..3", `"..`) // a mistake: the one before goes on
	p.logged(0, "cannot load configuration", "words.lua:1: ")
	c.says("get k\r\n")
	c.sees("SERVER_ERROR two\r\n")

	swap("..4", "four")
	p.logged(0, "configuration loaded", `"generation":3`)
	c.says("get k\r\n")
	c.sees("SERVER_ERROR four\r\n")
}
