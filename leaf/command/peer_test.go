// A memcached of our own to compare with.

package command

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// peer is a running memcached and one connection to it.
type peer struct {
	t       testing.TB
	conn    net.Conn
	in      *bufio.Reader
	version string
}

// startPeer runs memcached (or the binary that TIDEPOOL_MEMCACHED names) on a port that the kernel picks. Without one the
// test is skipped, loudly, unless TIDEPOOL_PEERS=required.
func startPeer(t *testing.T) *peer {
	t.Helper()
	name := os.Getenv("TIDEPOOL_MEMCACHED")
	if name == "" {
		name = "memcached"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("TIDEPOOL_PEERS") == "required" {
			t.Fatalf("TIDEPOOL_PEERS=required, but: %v", err)
		}
		t.Skipf("SKIPPED: no memcached to compare with (%v); install it, or set TIDEPOOL_MEMCACHED", err)
	}
	ports := filepath.Join(t.TempDir(), "ports")
	// Without the LRU's own thread: it holds items for a moment, and a number in a held item is not padded.
	cmd := exec.Command(path, "-o", "no_lru_maintainer", "-u", whoami(), "-l", "127.0.0.1", "-p", "-1", "-U", "0", "-t", "1")
	cmd.Env = append(os.Environ(), "MEMCACHED_PORT_FILENAME="+ports)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	addr := ""
	for deadline := time.Now().Add(10 * time.Second); addr == ""; {
		b, _ := os.ReadFile(ports)
		if _, port, ok := strings.Cut(strings.TrimSuffix(string(b), "\n"), "TCP INET: "); ok && bytes.HasSuffix(b, []byte("\n")) {
			addr = "127.0.0.1:" + strings.TrimSpace(port)
		}
		if time.Now().After(deadline) {
			t.Fatalf("memcached does not say its port: %s", stderr.String())
		}
		if addr == "" {
			time.Sleep(time.Millisecond) // another process writes the file: there is nothing to wait on
		}
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := &peer{t: t, conn: conn, in: bufio.NewReaderSize(conn, 1<<16)}
	p.version = strings.TrimSuffix(strings.TrimPrefix(p.send("version\r\n"), "VERSION "), "\r\n")
	t.Logf("comparing with memcached %s", p.version)
	return p
}

// old: it is older than what we follow.
func (p *peer) old() bool {
	patch, err := strconv.Atoi(strings.TrimPrefix(p.version, "1.6."))
	if err != nil {
		p.t.Fatalf("cannot read version %q", p.version)
	}
	return patch < 45
}

// send gives the answer to one request: all that comes before the answer to the miss sent after it.
func (p *peer) send(request string) string {
	p.t.Helper()
	p.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(p.conn, request+"mg no-such-key k Oend\r\n"); err != nil {
		p.t.Fatalf("%q: %v", request, err)
	}
	var got []byte
	for {
		line, err := p.in.ReadBytes('\n')
		if err != nil {
			p.t.Fatalf("%q: got %q, then %v", request, append(got, line...), err)
		}
		if string(line) == "EN kno-such-key Oend\r\n" {
			return string(got)
		}
		got = append(got, line...)
	}
}

// whoami is the user to run as: memcached refuses to be root unless it is told to.
func whoami() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "nobody"
}
