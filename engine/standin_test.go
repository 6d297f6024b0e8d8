// A proxy that stands in for a memcached, clients that watch, and who may be a client.

package engine

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/auth"
	"github.com/tidepool-proxy/tidepool/engine/watch"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/leaf/command"
	leafstore "github.com/tidepool-proxy/tidepool/leaf/store"
)

// hookless has no routes.
const hookless = "function mcp_config_pools() return true end function mcp_config_routes() end"

// standIn makes a proxy one, of m, with a store that tells those who watch.
func standIn(t *testing.T, m *Memcached) func(*Options) {
	return func(o *Options) {
		o.Memcached = m
		o.Watch = watch.New(watch.Options{})
		st, err := leafstore.Open(leafstore.Options{Memory: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(st.Close)
		ex, err := command.New(command.Options{Store: st, Watch: o.Watch})
		if err != nil {
			t.Fatal(err)
		}
		o.Local = &leaf.Local{Executor: ex, Store: st}
	}
}

// line reads one line that matches what is wanted.
func (c *client) line(want string) {
	c.t.Helper()
	c.c.SetReadDeadline(time.Now().Add(patience))
	got, err := c.r.ReadString('\n')
	if err != nil || !regexp.MustCompile("^"+want+"\n$").MatchString(got) {
		c.t.Fatalf("sees %q (%v), want %q", got, err, want)
	}
}

func TestWatch(t *testing.T) {
	p := startProxy(t, writeConfig(t, hookless), standIn(t, &Memcached{}))
	c, w := dial(t, p), dial(t, p)
	c.says("version\r\n")
	c.line("VERSION .*")
	w.says("watch mutations fetch\r\nget never\r\n")
	w.sees("OK\r\n")
	c.says("set foo 0 0 5 noreply\r\nhello\r\nget foo\r\n")
	c.sees("VALUE foo 0 5\r\nhello\r\nEND\r\n")
	head := `ts=\d+\.\d{6} gid=\d+ `
	w.line(head + `type=item_get key=foo status=not_found clsid=0 cfd=\d+ size=0`)
	w.line(head + `type=item_store key=foo status=stored cmd=set ttl=0 clsid=1 cfd=\d+ size=5`)
	w.line(head + `type=item_get key=foo status=found clsid=1 cfd=\d+ size=5`)

	c.says("stats\r\n")
	stats := c.until("END\r\n")
	for _, want := range []string{"STAT log_watchers 1\r\n", "STAT log_watcher_sent 3\r\n", "STAT log_watcher_skipped 0\r\n", "STAT curr_connections 2\r\n"} {
		if !strings.Contains(stats, want) {
			t.Errorf("no %q in %q", want, stats)
		}
	}
	w.c.Close()
	for !strings.Contains(stats, "STAT log_watchers 0\r\n") {
		c.says("stats\r\n")
		stats = c.until("END\r\n")
	}
}

// until reads up to and with a line.
func (c *client) until(last string) (all string) {
	c.t.Helper()
	c.c.SetReadDeadline(time.Now().Add(patience))
	for !strings.HasSuffix(all, last) {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("after %q: %v", all, err)
		}
		all += line
	}
	return all
}

func TestWatchIsRefused(t *testing.T) {
	p := startProxy(t, writeConfig(t, hookless), standIn(t, &Memcached{}), func(o *Options) {
		o.Watch = watch.New(watch.Options{Most: 1})
	})
	c := dial(t, p)
	for _, d := range []struct{ says, sees string }{
		{"watch nothing\r\n", "ERROR\r\n"},
		{"watch fetchers nothing\r\n", "ERROR\r\n"},
		{"get a\r\nwatch\r\nget b\r\n", "END\r\nERROR cannot pipeline other commands before watch\r\nEND\r\n"},
	} {
		c.says(d.says)
		c.sees(d.sees)
	}
	w := dial(t, p)
	w.says("watch\n")
	w.sees("OK\r\n")
	c.says("watch\r\nget a\r\n")
	c.sees("WATCHER_TOO_MANY log watcher limit reached\r\nEND\r\n")

	c = dial(t, startProxy(t, writeConfig(t, hookless), standIn(t, &Memcached{NoWatch: true})))
	c.says("watch mutations\r\nget a\r\n")
	c.sees("CLIENT_ERROR watch commands not allowed\r\nEND\r\n")
}

func TestWatchConnections(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	p := startProxy(t, writeConfig(t, hookless), func(o *Options) { o.Listen = append(o.Listen, "unix:"+path) })
	w := dial(t, p)
	w.says("watch connevents\r\n")
	w.sees("OK\r\n")
	head := `ts=\d+\.\d{6} gid=\d+ type=`
	for says, reason := range map[string]string{"quit\r\n": "normal", "GET / HTTP/1.1\r\n": "error"} {
		c := dial(t, p)
		c.says(says)
		c.ends()
		_, port, _ := net.SplitHostPort(c.c.LocalAddr().String())
		w.line(head + `conn_new rip=127.0.0.1 rport=` + port + ` transport=tcp cfd=\d+`)
		w.line(head + `conn_close rip=127.0.0.1 rport=` + port + ` transport=tcp reason=` + reason + ` cfd=\d+`)
	}
	u, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	w.line(head + `conn_new rip=unix rport=0 transport=local cfd=\d+`)
	u.Close()
	w.line(head + `conn_close rip=unix rport=0 transport=local reason=normal cfd=\d+`)
}

func TestStatsConns(t *testing.T) {
	p := startProxy(t, writeConfig(t, hookless))
	a, b := dial(t, p), dial(t, p)
	a.says("version\r\n")
	a.line("VERSION .*")
	for _, sub := range []string{"conns", "con"} {
		b.says("stats " + sub + "\r\n")
		got := b.until("END\r\n")
		addr := p.Addrs()[0]
		want := fmt.Sprintf(`^STAT (\d+):addr tcp:%s\r\nSTAT \d+:state conn_listening\r\nSTAT \d+:secs_since_last_cmd 0\r\n`+
			`STAT (\d+):addr tcp:%s\r\nSTAT \d+:listen_addr tcp:%s\r\nSTAT \d+:state conn_read\r\nSTAT \d+:secs_since_last_cmd \d+\r\n`+
			`STAT (\d+):addr tcp:%s\r\nSTAT \d+:listen_addr tcp:%s\r\nSTAT \d+:state conn_read\r\nSTAT \d+:secs_since_last_cmd \d+\r\nEND\r\n$`,
			addr, a.c.LocalAddr(), addr, b.c.LocalAddr(), addr)
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestShutdownCommand(t *testing.T) {
	asked := make(chan bool, 9)
	on := startProxy(t, writeConfig(t, hookless), standIn(t, &Memcached{Shutdown: func(graceful bool) { asked <- graceful }}))
	off := startProxy(t, writeConfig(t, hookless), standIn(t, &Memcached{}))
	c := dial(t, off)
	c.says("shutdown\r\nget a\r\n")
	c.sees("SERVER_ERROR: shutdown not enabled\r\nEND\r\n")
	c = dial(t, on)
	c.says("shutdown foo\r\nshutdown graceful now\r\nget a\r\n")
	c.sees("CLIENT_ERROR invalid shutdown mode\r\nCLIENT_ERROR invalid shutdown mode\r\nEND\r\n")
	c.says("get a\r\nshutdown\r\nget never\r\n")
	c.sees("END\r\n")
	c.ends()
	if <-asked {
		t.Error("shutdown alone was taken for a graceful one")
	}
	c = dial(t, on)
	c.says("shutdown graceful\r\n")
	c.ends()
	if !<-asked {
		t.Error("a graceful shutdown was taken for one at once")
	}
}

// What memcached's proxy does not know closes the connection where Tidepool stands in for it. A listener without routes is plain memcached.
func TestUnknownToMemcachedsProxy(t *testing.T) {
	config := "function mcp_config_pools() return true end function mcp_config_routes() mcp.attach(mcp.CMD_MG, function() return 'HD\\r\\n' end, 'a') end"
	p := startProxy(t, writeConfig(t, config), standIn(t, &Memcached{}), func(o *Options) { o.Listen = []string{"tag_a_:127.0.0.1:0", "127.0.0.1:0"} })
	addrs := p.Addrs()
	for _, d := range []struct{ says, plain string }{
		{"flush_all", "OK\r\n"}, {"verbosity 1", "OK\r\n"}, {"shutdown", "SERVER_ERROR: shutdown not enabled\r\n"}, {"slabs automove 1", "ERROR\r\n"},
		{"lru mode flat", "ERROR\r\n"}, {"lru_crawler enable", "ERROR\r\n"}, {"cache_memlimit 1", "MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\r\n"},
		{"bogus", "ERROR\r\n"}, {"extstore x", "ERROR\r\n"}, {"refresh_certs", "ERROR\r\n"},
	} {
		hooked, plain := dialAddr(t, addrs[0]), dialAddr(t, addrs[1])
		hooked.says("mg a\r\n" + d.says + "\r\nmg a\r\n")
		hooked.sees("HD\r\n")
		hooked.ends()
		plain.says(d.says + "\r\nmn\r\n")
		plain.sees(d.plain + "MN\r\n")
	}
	hooked := dialAddr(t, addrs[0])
	hooked.says("mn\r\nget a\r\nset a 0 0 1\r\nx\r\nversion\r\n")
	hooked.sees("MN\r\nEND\r\nSTORED\r\n")
	hooked.line("VERSION .*")
}

// A set that is too large removes what it was to replace, in the store of the proxy's own; a route, see toolarge_test.go.
func TestTooLargeDropsTheOld(t *testing.T) {
	big := strings.Repeat("x", 2000)
	small := func(o *Options) { o.MaxItem = 1000 }
	c := dial(t, startProxy(t, writeConfig(t, hookless), small))
	c.says("set a 0 0 1\r\nx\r\nset a 0 0 2000\r\n" + big + "\r\nget a\r\nset b 0 0 2000 noreply\r\n" + big + "\r\nmn\r\n")
	c.sees("STORED\r\nSERVER_ERROR object too large for cache\r\nEND\r\nMN\r\n")
	c = dial(t, startProxy(t, writeConfig(t, `
function mcp_config_pools() return true end
function mcp_config_routes() mcp.attach(mcp.CMD_SET, function() return "called\r\n" end) end`), small))
	c.says("set a 0 0 2000\r\n" + big + "\r\nmn\r\n")
	c.sees("SERVER_ERROR object too large for cache\r\nMN\r\n")
}

func TestAuth(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte("foo:bar\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	users, err := auth.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, writeConfig(t, "function mcp_config_pools() return true end function mcp_config_routes() mcp.attach(mcp.CMD_MG, function() return 'HD\\r\\n' end) end"),
		func(o *Options) { o.Auth = users })
	c := dial(t, p)
	c.says("mg a\r\nwatch\r\nstats\r\nset x 0 0 7\r\nfoo bar\r\nmg a\r\n")
	c.sees(strings.Repeat("CLIENT_ERROR unauthenticated\r\n", 3) + "STORED\r\nHD\r\n")
	w := dial(t, p)
	w.says("set x 0 0 7\r\nfoo bar\r\n")
	w.sees("STORED\r\n")
	w.says("watch\r\n") // a guarded connection may become a stream, too
	w.sees("OK\r\n")
	w.c.Close()
	io.Copy(io.Discard, w.r)
}
