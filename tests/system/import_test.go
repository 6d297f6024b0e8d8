// tidepool import, held to nutcracker itself: what one proxy stores, the other finds.

package system_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/peer"
	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// twCases are pools over the same five servers; SERVERS stands for them.
var twCases = []struct{ name, settings string }{
	{"defaults", ""},
	{"ketamamd5", "hash: md5\n  distribution: ketama"},
	{"ketamahsieh", "hash: hsieh\n  distribution: ketama\n  WEIGHTS: 1 2 3 4 100"},
	{"ketamajenkins", "hash: jenkins\n  distribution: ketama\n  WEIGHTS: 7 1 1 1 1"},
	{"ketamamurmur", "hash: murmur\n  NAMES: red green blue yellow black"},
	{"ketamacrc32a", "hash: crc32a\n  NAMES: red green blue yellow black\n  WEIGHTS: 3 3 2 1 5"},
	{"ketamacrc16", "hash: crc16\n  distribution: ketama"},
	{"tags", "hash: fnv1a_64\n  hash_tag: \"{}\"\n  server_connections: 2\n  timeout: 4000"},
	{"samechar", "hash: fnv1a_32\n  hash_tag: \"::\"\n  preconnect: true"},
	{"modula", "hash: fnv1_64\n  distribution: modula"},
	{"modulaweights", "hash: one_at_a_time\n  distribution: modula\n  WEIGHTS: 1 5 2 1 3"},
	{"modulacrc32", "hash: crc32\n  distribution: modula\n  auto_eject_hosts: true\n  server_retry_timeout: 2000\n  server_failure_limit: 3"},
	{"fnv132", "hash: fnv1_32\n  distribution: ketama"},
}

// twConfig is nutcracker's configuration of all cases, each listening in dir.
func twConfig(dir string, servers []string) string {
	var b strings.Builder
	for i, c := range twCases {
		fmt.Fprintf(&b, "%s:\n  listen: %s/%d.sock\n", c.name, dir, i)
		weights, names := strings.Fields("1 1 1 1 1"), make([]string, len(servers))
		for line := range strings.Lines(c.settings) {
			line = strings.TrimSpace(line)
			if s, ok := strings.CutPrefix(line, "WEIGHTS: "); ok {
				weights = strings.Fields(s)
			} else if s, ok := strings.CutPrefix(line, "NAMES: "); ok {
				names = strings.Fields(s)
			} else if line != "" {
				fmt.Fprintf(&b, "  %s\n", line)
			}
		}
		b.WriteString("  servers:\n")
		for j, s := range servers {
			fmt.Fprintf(&b, "   - %s\n", strings.TrimSpace(s+":"+weights[j]+" "+names[j]))
		}
	}
	return b.String()
}

// twKeys are a thousand keys of every sort: with tags, in UTF-8, long.
func twKeys(pool string) (keys []string) {
	for i := range 1000 {
		key := fmt.Sprintf("%s:%d", pool, i)
		switch i % 5 {
		case 1:
			key = fmt.Sprintf("%s{user%d}name", pool, i)
		case 2:
			key = fmt.Sprintf("%s-%d-schlüssel-日本-\xff\x80", pool, i)
		case 3:
			key = fmt.Sprintf("%s{}:%d:%s", pool, i, strings.Repeat("x", i%200))
		case 4:
			key = fmt.Sprintf("%s/%x", pool, i*2654435761)
		}
		keys = append(keys, key)
	}
	return keys
}

func TestImportedNutcrackerSendsKeysToTheSameServers(t *testing.T) {
	nutcracker := peer.Need(t, "nutcracker")
	dir, err := os.MkdirTemp("", "tw") // a socket's path is at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var servers []string
	for range 4 {
		servers = append(servers, startMemcached(t))
	}
	socket := filepath.Join(dir, "memcached.sock")
	startOnSocket(t, socket)
	servers = append(servers, socket)
	yml := write(t, "nutcracker.yml", twConfig(dir, servers))

	stats, err := proc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(stats[0])
	tw := run(t, exec.Command(nutcracker, "-c", yml, "-a", "127.0.0.1", "-s", port))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := tw.AwaitListening(ctx, stats[0]); err != nil {
		t.Fatalf("nutcracker: %v\n%s", err, tw.Stderr.Tail())
	}

	made := filepath.Join(t.TempDir(), "made.lua")
	output(t, tidepool, "import", yml, "-o", made)
	output(t, tidepool, "check", made)
	text, err := os.ReadFile(made)
	if err != nil {
		t.Fatal(err)
	}
	// The command line that the file names, on sockets of our own.
	line := regexp.MustCompile(`--   tidepool (proxy .*)`).FindStringSubmatch(string(text))
	if line == nil {
		t.Fatalf("the file names no command line:\n%s", text)
	}
	args := strings.Fields(strings.ReplaceAll(line[1], ".sock", ".tidepool"))
	args[len(args)-1] = made
	p := run(t, exec.Command(tidepool, append(args, "--admin", "127.0.0.1:0", "--log-format", "json")...))
	if _, err := p.Logged(0, patience, "proxy serves"); err != nil {
		t.Fatal(err)
	}
	for i, c := range twCases {
		t.Run(c.name, func(t *testing.T) {
			theirs, ours := fmt.Sprintf("%s/%d.sock", dir, i), fmt.Sprintf("%s/%d.tidepool", dir, i)
			keys := twKeys(c.name)
			setAll(t, theirs, keys[:500])
			setAll(t, ours, keys[500:])
			getAll(t, "through tidepool what nutcracker stored", ours, keys[:500])
			getAll(t, "through nutcracker what tidepool stored", theirs, keys[500:])
		})
	}
	// All of it proves nothing if one server has everything.
	for _, s := range servers {
		network := "tcp"
		if strings.HasPrefix(s, "/") {
			network = "unix"
		}
		conn := dialBoth(t, network, s)
		fmt.Fprint(conn, "stats\r\n")
		n := 0
		for r := bufio.NewScanner(conn); r.Scan() && r.Text() != "END"; {
			fmt.Sscanf(r.Text(), "STAT curr_items %d", &n)
		}
		if n < 1000 {
			t.Errorf("%s has %d of %d keys", s, n, 1000*len(twCases))
		}
	}
}

// startOnSocket runs memcached on a unix socket.
func startOnSocket(t *testing.T, socket string) {
	t.Helper()
	who := "nobody"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	p := run(t, exec.Command(peer.Need(t, "memcached"), "-u", who, "-s", socket, "-t", "1", "-m", "64"))
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if conn, err := net.Dial("unix", socket); err == nil {
			_ = conn.Close()
			return
		}
		time.Sleep(time.Millisecond) // another process makes the socket: there is nothing to wait on
	}
	t.Fatalf("memcached does not listen on %s:\n%s", socket, p.Stderr.Tail())
}

func dialBoth(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// setAll stores each key under its own name.
func setAll(t *testing.T, socket string, keys []string) {
	t.Helper()
	conn := dialBoth(t, "unix", socket)
	r := bufio.NewReader(conn)
	for from := 0; from < len(keys); from += 50 {
		var b bytes.Buffer
		for _, k := range keys[from:min(from+50, len(keys))] {
			fmt.Fprintf(&b, "set %s 0 0 %d\r\n%s\r\n", k, len(k), k)
		}
		if _, err := conn.Write(b.Bytes()); err != nil {
			t.Fatal(err)
		}
		for range min(50, len(keys)-from) {
			if line, err := r.ReadString('\n'); err != nil || line != "STORED\r\n" {
				t.Fatalf("set through %s: %q, %v", socket, line, err)
			}
		}
	}
}

// getAll wants every key's own name.
func getAll(t *testing.T, what, socket string, keys []string) {
	t.Helper()
	conn := dialBoth(t, "unix", socket)
	r := bufio.NewReader(conn)
	missed := 0
	for _, k := range keys {
		fmt.Fprintf(conn, "get %s\r\n", k)
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "END\r\n" {
			if missed++; missed < 5 {
				t.Errorf("%s: %q is not there", what, k)
			}
			continue
		}
		value, _ := r.ReadString('\n')
		end, err := r.ReadString('\n')
		if want := fmt.Sprintf("VALUE %s 0 %d\r\n", k, len(k)); err != nil || line != want || value != k+"\r\n" || end != "END\r\n" {
			t.Fatalf("%s: get %q: %q %q %q, %v", what, k, line, value, end, err)
		}
	}
	if missed > 0 {
		t.Errorf("%s: %d of %d keys are not there", what, missed, len(keys))
	}
}

// output runs a program that must succeed, and gives its standard output.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	c := exec.Command(name, args...)
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}
