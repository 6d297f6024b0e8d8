// tidepool memcached: its command line, and what runs of it.

package main

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/proc"
)

func TestMemcachedLine(t *testing.T) {
	for args, want := range map[string]string{
		"":                                  "",
		"-p 0 -s /s -a 777":                 "",
		"-l 127.0.0.1 -p -1 -U 31000":       "",
		"-u root -o relaxed_privileges -vv": "",
		"-m 64 -f 1.25 -n 48 -k -L -r -X -N 1 -o slab_chunk_max=16,modern,lru_crawler,hashpower=20,no_slab_reassign": "",
		"-o proxy_config=a.lua:b.lua,proxy_arg=x -t 1 -R 500":                                                        "",
		"-B auto": "", "-B ascii": "", "-B binary": "",
		"-B http":                       `-B: want auto, ascii or binary, got "http"`,
		"-B ascii -o proxy_config=a":    "-B: a protocol cannot be chosen with -o proxy_config",
		"-p 0":                          "-p 0: nothing is left to listen on",
		"-p 70000":                      `-p: want a port, got "70000"`,
		"-p x":                          `-p: want a port, at least -1, got "x"`,
		"-c 0":                          `-c: want a number of connections, at least 1, got "0"`,
		"-t 0":                          `-t: want a number of threads, at least 1, got "0"`,
		"-R 0":                          `-R: want a number of requests, at least 1, got "0"`,
		"-a 9":                          `-a: want permissions in octal, got "9"`,
		"-I 1000":                       `-I: item max size cannot be less than 1024 bytes, got "1000"`,
		"-I big":                        `-I: want a size such as 1m, got "big"`,
		"-Z":                            `option "-Z" of memcached is not supported: clients have no TLS`,
		"-S":                            `option "-S" of memcached is not supported: there is no SASL; -Y is for text clients`,
		"-e /dev/shm/x":                 `option "-e" of memcached is not supported: no memory outlives the process`,
		"-x":                            `unknown option "-x"`,
		"-o ext_path=/f:1g":             `-o: unknown option "ext_path"`,
		"-o modern,bogus=1":             `-o: unknown option "bogus"`,
		"-o idle_timeout=x":             `-o idle_timeout: want seconds, got "x"`,
		"-o proxy_config=":              "-o proxy_config: want a file",
		"-o proxy_config=routelib":      `-o proxy_config: "routelib" is inside memcached; name your copy of routelib.lua, here or in $TIDEPOOL_ROUTELIB`,
		"-o watcher_logbuf_size=little": `-o watcher_logbuf_size: want kilobytes, got "little"`,
	} {
		_, err := readMemcachedLine(strings.Fields(args))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
	t.Setenv(routelibFile, "/lib/routelib.lua")
	if m, err := readMemcachedLine([]string{"-oproxy_config=routelib"}); err != nil || m.files[0] != "/lib/routelib.lua" {
		t.Errorf("routelib: %v", err)
	}
}

func TestMemcachedAddresses(t *testing.T) {
	for args, want := range map[string]string{
		"":                        "127.0.0.1:11211",
		"-p 7":                    "127.0.0.1:7",
		"-p -1":                   "127.0.0.1:0",
		"-s /tmp/x -l 10.0.0.1":   "unix:/tmp/x",
		"-l 10.0.0.1 -l [::1]":    "10.0.0.1:11211 [::1]:11211",
		"-l tag_b_:127.0.0.1:5":   "tag_b_:127.0.0.1:5",
		"-p 9 -l tag[b]:10.0.0.1": "tag[b]:10.0.0.1:9",
		"-l 10.0.0.1,10.0.0.2:8":  "10.0.0.1:11211 10.0.0.2:8",
		"-l proto[ascii]:tag_x_:localhost;unix:/y": "proto[ascii]:tag_x_:localhost:11211 unix:/y",
	} {
		m, err := readMemcachedLine(strings.Fields(args))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(m.addrs(), " "); got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
}

// Test libraries read from -h what a memcached can do: through the launcher, as memcached's own does.
func TestMemcachedHelp(t *testing.T) {
	c := exec.Command("../../tests/compat/launch", "-h")
	c.Env = append(os.Environ(), "TIDEPOOL="+binary)
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	help := strings.ToLower(string(out))
	for word, there := range map[string]bool{
		"proxy_config": true, "unix-socket": true, "--listen": true,
		"ext_path": false, "enable-ssl": false, "sasl": false, "no_drop_privileges": false, testCommandsWord: false,
	} {
		if strings.Contains(help, word) != there {
			t.Errorf("%q in -h: %v, want %v\n%s", word, !there, there, out)
		}
	}
}

// standIn is a running tidepool memcached on a unix socket.
type standIn struct {
	*process
	socket string
}

func startStandIn(t *testing.T, args ...string) *standIn {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	p, err := proc.Start(exec.Command(binary, append([]string{"memcached", "-s", socket}, args...)...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	s := &standIn{&process{t, p}, socket}
	s.dial().Close()
	return s
}

// conversation is one client.
type conversation struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

// dial connects as soon as somebody listens.
func (s *standIn) dial() *conversation {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) { // another process: there is nothing to wait on
		c, err := net.Dial("unix", s.socket)
		if err == nil {
			s.t.Cleanup(func() { c.Close() })
			c.SetDeadline(time.Now().Add(patience))
			return &conversation{s.t, c, bufio.NewReader(c)}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%v:\n%s", err, s.Stderr.Tail())
		}
	}
}

// talk says lines, which | separates, and wants these.
func (c *conversation) talk(says, want string) {
	c.t.Helper()
	io.WriteString(c, strings.ReplaceAll(says, "|", "\r\n")+"\r\n")
	if want == "" {
		return
	}
	want = strings.ReplaceAll(want, "|", "\r\n") + "\r\n"
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.r, got); err != nil || string(got) != want {
		c.t.Fatalf("%q: sees %q (%v), want %q", says, got[:n], err, want)
	}
}

// stats gives the lines of stats.
func (c *conversation) stats(sub string) map[string]string {
	c.t.Helper()
	io.WriteString(c, "stats "+sub+"\r\n")
	all := map[string]string{}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		if line == "END\r\n" {
			return all
		}
		w := strings.SplitN(strings.TrimSpace(line), " ", 3)
		all[w[1]] = w[2]
	}
}

func TestMemcachedOptionsWork(t *testing.T) {
	users := write(t, "users", "foo:bar\n")
	s := startStandIn(t, "-C", "-F", "-D/", "-W", "-b", "17", "-a", "0770", "-Y", users, "-I", "2m", "-c", "9", "-o", "idle_timeout=900,watcher_logbuf_size=8")
	c := s.dial()
	c.talk("get a|set a 0 0 7|foo bar", "CLIENT_ERROR unauthenticated|STORED")
	c.talk("set a/b 0 0 1|x|gets a/b|cas a/b 0 0 1 0|y|flush_all|watch|shutdown|debugtime 5",
		"STORED|VALUE a/b 0 1 0|x|END|EXISTS|CLIENT_ERROR flush_all not allowed|CLIENT_ERROR watch commands not allowed|SERVER_ERROR: shutdown not enabled|ERROR")
	c.talk("stats detail dump", "PREFIX a get 1 hit 1 set 2 del 0|END")
	settings := c.stats("settings")
	for name, want := range map[string]string{
		"cas_enabled": "no", "flush_enabled": "no", "stat_key_prefix": "/", "detail_enabled": "yes", "tcp_backlog": "17", "umask": "770",
		"auth_enabled_ascii": users, "item_size_max": "2097152", "maxconns": "9", "idle_timeout": "900", "watcher_logbuf_size": "8192",
		"domain_socket": s.socket, "inter": "NULL", "evictions": "on", "shutdown_command": "no", "proxy_enabled": "no",
		"binding_protocol": "auto-negotiate", "client_flags_size": "4", "reqs_per_event": "64", "num_threads": "4",
	} {
		if settings[name] != want {
			t.Errorf("settings: %s %q, want %q", name, settings[name], want)
		}
	}
	general := c.stats("")
	for name, want := range map[string]string{"idle_kicks": "0", "auth_cmds": "1", "auth_errors": "0", "log_watchers": "0", "max_connections": "9",
		"pid": strconv.Itoa(s.PID())} {
		if general[name] != want {
			t.Errorf("stats: %s %q, want %q", name, general[name], want)
		}
	}
	if fi, err := os.Stat(s.socket); err != nil || fi.Mode().Perm() != 0o770 {
		t.Errorf("the socket's mode is %v (%v)", fi.Mode(), err)
	}

	// SIGHUP reads the users again; a file that cannot be read changes nothing.
	from := s.Stderr.Count()
	if err := os.WriteFile(users, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	if s.Stderr.Find(from, patience, "want user:password") == "" {
		t.Error("a broken file of users is not told of")
	}
	s.dial().talk("set a 0 0 7|foo bar", "STORED")
	if err := os.WriteFile(users, []byte("new:one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		c := s.dial()
		c.talk("set a 0 0 7|new one", "")
		line, _ := c.r.ReadString('\n')
		c.Close() // of nine that may be open
		if line == "STORED\r\n" {
			break
		}
	}
	s.dial().talk("set a 0 0 7|foo bar|set a 0 0 7|new one", "CLIENT_ERROR authentication failure|STORED")
	s.signal(syscall.SIGINT)
	s.exit(0)
}

// With -M a full store refuses and keeps what it has.
func TestMemcachedNoEvictions(t *testing.T) {
	s := startStandIn(t, "-M", "-m", "2")
	c := s.dial()
	value := strings.Repeat("x", 8192)
	n := 0
	for ; ; n++ {
		io.WriteString(c, "set k"+strconv.Itoa(n)+" 0 0 8192\r\n"+value+"\r\n")
		if line, err := c.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		} else if line != "STORED\r\n" {
			if line != "SERVER_ERROR out of memory storing object\r\n" {
				t.Errorf("full: %q", line)
			}
			break
		}
	}
	if n < 50 {
		t.Errorf("full with %d items", n)
	}
	for i := range n {
		key := "k" + strconv.Itoa(i)
		c.talk("get "+key, "VALUE "+key+" 0 8192|"+value+"|END")
	}
	if st := c.stats(""); st["store_no_memory"] != "1" || st["evictions"] != "0" {
		t.Errorf("store_no_memory %s, evictions %s", st["store_no_memory"], st["evictions"])
	}
	if got := c.stats("settings")["evictions"]; got != "off" {
		t.Errorf("settings: evictions %q", got)
	}
}

// A hooked listener closes the connection for what memcached's proxy does not know; tidepool proxy answers.
func TestMemcachedIsStrict(t *testing.T) {
	config := write(t, "proxy.lua", `
function mcp_config_pools() return true end
function mcp_config_routes() mcp.attach(mcp.CMD_MG, function(r) return "HD " .. mcp.start_arg .. "\r\n" end) end`)
	s := startStandIn(t, "-o", "proxy_config="+config+",proxy_arg=zone", "-t", "1")
	c := s.dial()
	c.talk("mg a|watch", "HD zone|ERROR cannot pipeline other commands before watch")
	c.talk("watch proxyevents nothing", "ERROR")
	c.talk("flush_all", "")
	if rest, err := io.ReadAll(c.r); err != nil || len(rest) > 0 {
		t.Errorf("flush_all is answered with %q (%v), want the end", rest, err)
	}
	w := s.dial()
	w.talk("watch proxyevents", "OK")
	_, addr, _ := startProxy(t, `pool{ name = "main", backends = { "127.0.0.1:1" } }
router{ default_pool = "main" }`)
	kind, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer kind.Close()
	(&conversation{t, kind, bufio.NewReader(kind)}).talk("flush_all|mn", "SERVER_ERROR not allowed|MN")
	s.signal(syscall.SIGUSR1)
	s.exit(0)
}

func TestMemcachedShutdownCommand(t *testing.T) {
	for _, say := range []string{"shutdown", "shutdown graceful"} {
		s := startStandIn(t, "-A")
		s.dial().talk(say, "")
		s.exit(0)
	}
}

func TestMemcachedWatch(t *testing.T) {
	s := startStandIn(t, "-m", "8")
	w, c := s.dial(), s.dial()
	w.talk("watch mutations evictions deletions connevents", "OK")
	c.talk("set a 0 0 1|x|delete a|debugtime 1", "STORED|DELETED|ERROR")
	c.Close()
	value := strings.Repeat("x", 11000)
	c = s.dial()
	for i := range 1500 {
		io.WriteString(c, "set fill"+strconv.Itoa(i)+" 0 0 11000 noreply\r\n"+value+"\r\n")
	}
	seen := map[string]bool{}
	line := regexp.MustCompile(`^ts=\d+\.\d+ gid=\d+ type=(\w+) .*\n$`)
	for len(seen) < 5 {
		got, err := w.r.ReadString('\n')
		if err != nil {
			t.Fatalf("%v, seen %v", err, seen)
		}
		if m := line.FindStringSubmatch(got); m != nil {
			seen[m[1]] = true
		} else if !strings.HasPrefix(got, "skipped=") {
			t.Fatalf("sees %q", got)
		}
	}
	for _, kind := range []string{"item_store", "deleted", "eviction", "conn_new", "conn_close"} {
		if !seen[kind] {
			t.Errorf("no %s among %v", kind, seen)
		}
	}
}

// -d: the command ends when clients may come, or says why they may not.
func TestMemcachedDaemon(t *testing.T) {
	dir := t.TempDir()
	pidfile, socket := filepath.Join(dir, "pid"), filepath.Join(dir, "s")
	if out, err := exec.Command(binary, "memcached", "-d", "-P", pidfile, "-s", socket).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(pidfile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(pid, syscall.SIGKILL) })
	nc, err := net.Dial("unix", socket) // at once: the command has ended
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := &conversation{t, nc, bufio.NewReader(nc)}
	if got := c.stats("")["pid"]; got != strconv.Itoa(pid) {
		t.Errorf("stats tells of process %s, the file of %d", got, pid)
	}
	if sid, err := sessionOf(pid); err != nil || sid != pid {
		t.Errorf("session %d (%v), want one of its own", sid, err)
	}
	c.talk("shutdown", "SERVER_ERROR: shutdown not enabled")
	syscall.Kill(pid, syscall.SIGTERM)
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("after SIGTERM: %v", err)
	}
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) { // it is nobody's child here
		if _, err := os.Stat(pidfile); os.IsNotExist(err) {
			break
		}
	}
	if _, err := os.Stat(pidfile); err == nil {
		t.Error("the file of -P is still there")
	}

	out, err := exec.Command(binary, "memcached", "-d", "-l", "256.0.0.1:1").CombinedOutput()
	if err == nil || !strings.Contains(string(out), `cannot listen on "256.0.0.1:1"`) {
		t.Errorf("a daemon that cannot listen: %v: %s", err, out)
	}
}

// sessionOf reads a process's session from /proc.
func sessionOf(pid int) (int, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return strconv.Atoi(strings.Fields(rest)[3])
}
