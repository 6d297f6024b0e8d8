// Where require looks for a configuration's modules.

package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestPackagePath(t *testing.T) {
	const lua = "/usr/local/share/lua/5.4/?.lua;/usr/local/share/lua/5.4/?/init.lua;./?.lua;./?/init.lua"
	for _, d := range []struct{ user, want string }{
		{"", "/etc/p/?.lua;" + lua},
		{";;", "/etc/p/?.lua;" + lua},
		{"/lib/?.lua;;", "/lib/?.lua;/etc/p/?.lua;" + lua},
		{";;/lib/?.lua", "/etc/p/?.lua;" + lua + ";/lib/?.lua"},
		{"/lib/?.lua", "/lib/?.lua;/etc/p/?.lua"},
		{"/lib/?.lua;", "/lib/?.lua;;/etc/p/?.lua"},
	} {
		if got := packagePath(d.user, []string{"/etc/p/a.lua", "/etc/q/b.lua"}); got != d.want {
			t.Errorf("packagePath(%q) is %q, want %q", d.user, got, d.want)
		}
	}
	if got := packagePath("", nil); got != lua {
		t.Errorf("without files it is %q", got)
	}
}

// A library of the user's lies where LUA_PATH says, and is found before one beside the configuration, in both stages.
func TestRequireFollowsLuaPath(t *testing.T) {
	config := writeConfig(t, `
local m, sub = require "lib", require "deep.sub"
function mcp_config_pools() return m .. sub end
function mcp_config_routes(text)
    mcp.attach(mcp.CMD_GET, function() return text .. " " .. m .. sub .. " " .. require "beside" .. "\r\n" end)
    require "beside"
end`)
	libs := t.TempDir()
	if err := os.Mkdir(filepath.Join(libs, "deep"), 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		filepath.Join(libs, "lib.lua"):                    "there",
		filepath.Join(libs, "deep", "sub.lua"):            "sub",
		filepath.Join(filepath.Dir(config), "lib.lua"):    "not this",
		filepath.Join(filepath.Dir(config), "beside.lua"): "beside",
	} {
		if err := os.WriteFile(file, fmt.Appendf(nil, "return %q", text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := dial(t, startProxy(t, config, func(o *Options) { o.LuaPath = filepath.Join(libs, "?.lua") + ";;" }))
	c.says("get a\r\n")
	c.sees("theresub theresub beside\r\n")
}
