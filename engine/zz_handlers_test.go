package engine

import (
	"fmt"
	"testing"
)

func TestZZHandlersLoad(t *testing.T) {
	for _, h := range []string{"sharded", "allsync", "allasync", "allfastest", "allmajority", "allinitial", "split", "random", "null", "error", "log", "latency"} {
		fields := `children = { a, b, c }`
		switch h {
		case "split":
			fields = "child_a = a, child_b = b"
		case "log", "latency":
			fields = "child = a"
		case "null", "error":
			fields = ""
		}
		t.Run(h, func(t *testing.T) {
			c := dial(t, startProxy(t, writeConfig(t, fmt.Sprintf(`
function mcp_config_pools() end
function mcp_config_routes()
    local a = function(r) return r:command() == mcp.CMD_MS and "HD\r\n" or "STORED\r\n" end
    local b = function(r) return "SERVER_ERROR b\r\n" end
    local c = function(r) return r:command() == mcp.CMD_MS and "NS\r\n" or "NOT_STORED\r\n" end
    mcp.attach(mcp.CMD_ANY_STORAGE, require "routes.%s"{ %s })
end`, h, fields))))
			c.says("set k 0 0 1\r\nx\r\nms k 1 Oabc q k\r\nx\r\nms k 1 Oabc k b\r\nx\r\nmn\r\n")
			t.Logf("%s: %q", h, c.lines2())
		})
	}
}

func (c *client) lines2() (got string) {
	for {
		line, err := c.r.ReadString('\n')
		if err != nil || line == "MN\r\n" {
			return got
		}
		got += line
	}
}
