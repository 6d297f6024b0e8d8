// A memcached that was cut off, and comes back with what was deleted elsewhere meanwhile.

package system_test

import (
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/tests/faultproxy"
)

func TestFlushOnReturn(t *testing.T) {
	for option, want := range map[string]string{
		"":                         "VALUE k 0 3\r\nold\r\nEND\r\n", // as every proxy has it
		", flush_on_return = true": "END\r\n",
	} {
		t.Run("with"+option, func(t *testing.T) {
			link, err := faultproxy.Start(startMemcached(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { link.Close() })
			host, port, _ := strings.Cut(link.Addr(), ":")
			p := startProxy(t, `
function mcp_config_pools()
    return mcp.pool{ mcp.backend{ label = "b", host = "`+host+`", port = "`+port+`", failurelimit = 0, retrywaittime = 1`+option+` } }
end
function mcp_config_routes(pool) mcp.attach(mcp.CMD_ANY_STORAGE, pool) end`)
			c := dial(t, p.addr)
			if got := c.ask("set k 0 0 3\r\nold\r\n"); got != "STORED\r\n" {
				t.Fatalf("set: %q", got)
			}
			link.Cut()
			eventually(t, "the server is marked bad, and misses the delete", func() bool { return strings.HasPrefix(c.ask("delete k\r\n"), "SERVER_ERROR") })
			link.Heal()
			var got string
			eventually(t, "it is back", func() bool {
				got = c.ask("get k\r\n")
				return !strings.HasPrefix(got, "SERVER_ERROR")
			})
			if got != want {
				t.Errorf("after it was back the client read %q, want %q", got, want)
			}
		})
	}
}
