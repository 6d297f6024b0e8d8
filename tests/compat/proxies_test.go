// Both proxies run for one conversation each, and what came of it is compared.

package compat

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long an answer may take.
const patience = 5 * time.Second

// seed is COMPAT_SEED, or one by chance, which the log of a test tells.
func seed(t *testing.T) uint64 {
	s := rand.Uint64() >> 32
	if v := os.Getenv("COMPAT_SEED"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatalf("COMPAT_SEED: %v", err)
		}
		s = n
	}
	t.Logf("COMPAT_SEED=%d", s)
	return s
}

// plan is a conversation that both have with the same configuration in front of the same servers.
type plan struct {
	config string   // the value of -o proxy_config, and what follows it
	env    []string // more of the environment
	tags   []string // of listeners besides the one that has none
	addrs  []string // servers that are there
	talk   []string // what the client says
	at     []int    // to which listener it says each: 0 or one more than the index of a tag; nil: always 0
	sum    bool     // which server sees a request is chance

	anyOrder bool // and when, if the client does not wait: a server is asked after another's answer

	same func(req, mine, theirs string) (string, string) // makes equal what is known to differ, or chance
}

// scatter gives each request of the conversation a listener by chance.
func (p *plan) scatter(seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 2))
	p.at = make([]int, len(p.talk))
	for i := range p.at {
		p.at[i] = rnd.IntN(1 + len(p.tags))
	}
}

func everySecond(addrs []string) (some []string) {
	for i := 0; i < len(addrs); i += 2 {
		some = append(some, addrs[i])
	}
	return some
}

// compare has the conversation with both.
func (p *plan) compare(t *testing.T, peer, ours string) {
	t.Helper()
	theirs := p.converse(t, peer, "-u", "root")
	mine := p.converse(t, ours, "memcached")
	if strings.Contains(theirs.failed, "TLS support not compiled") && mine.failed == "" {
		t.Skip("SKIPPED: this memcached has no TLS; tidepool loads the configuration")
	}
	if (theirs.failed == "") != (mine.failed == "") {
		t.Fatalf("memcached: %q\ntidepool: %q", theirs.failed, mine.failed)
	}
	if theirs.failed != "" {
		t.Logf("both refuse it: %q", theirs.failed)
		return
	}
	wrong := 0
	for i, req := range p.talk {
		if m, th := p.same(req, mine.answers[i], theirs.answers[i]); m != th {
			if wrong++; wrong <= 5 {
				t.Errorf("%q is answered %q, by memcached %q", req, mine.answers[i], theirs.answers[i])
			}
		}
	}
	p.compareSeen(t, mine.seen, theirs.seen)
	t.Logf("%d requests, %d seen by servers, %d answers differ", len(p.talk), theirs.total, wrong)
}

// noreplyDelete is refused by memcached itself, which takes no word but 0 and noreply there, and sent by its proxy all the same: see
// docs/compat.md.
var noreplyDelete = regexp.MustCompile(`^(delete +\S+) noreplY\r\n$`)

// compareSeen compares what the servers were sent.
func (p *plan) compareSeen(t *testing.T, mine, theirs map[string][]string) {
	t.Helper()
	if p.sum {
		mine, theirs = sum(mine), sum(theirs)
	}
	for _, a := range append(slices.Clone(p.addrs), "") {
		m, th := mine[a], theirs[a]
		if p.anyOrder {
			slices.Sort(m)
			slices.Sort(th)
		}
		for i := range max(len(m), len(th)) {
			x, y := at(m, i), noreplyDelete.ReplaceAllString(at(th, i), "$1 0      \r\n")
			if x != y {
				t.Errorf("server %s: request %d is %q, by memcached %q (%d and %d in all), after %q and %q", a, i, x, y, len(m), len(th), at(m, i-1), at(th, i-1))
				break
			}
		}
	}
}

func at(list []string, i int) string {
	if 0 <= i && i < len(list) {
		return list[i]
	}
	return "(none)"
}

func sum(seen map[string][]string) map[string][]string {
	var all []string
	for _, list := range seen {
		all = append(all, list...)
	}
	slices.Sort(all)
	return map[string][]string{"": all}
}

// talked is what came of a conversation.
type talked struct {
	answers []string
	seen    map[string][]string
	total   int
	failed  string // it did not start: what it said
}

// running is a proxy with its clients.
type running struct {
	kill   func()
	ended  chan struct{}
	stderr strings.Builder
	addrs  []string // of its listeners, first that without a tag
	conns  []net.Conn
	reads  []*bufio.Reader
}

// start runs a proxy with the plan's configuration and connects a client to each of its listeners. With failed it has ended by itself.
func (p *plan) start(t *testing.T, binary string, args ...string) (r *running, failed string) {
	t.Helper()
	r = &running{ended: make(chan struct{})}
	args = append(args, "-t", "1", "-o", "proxy_config="+p.config)
	if len(p.tags) == 0 {
		r.addrs = []string{filepath.Join(t.TempDir(), "s")}
		args = append(args, "-s", r.addrs[0])
	} else {
		r.addrs = freeAddrs(t, 1+len(p.tags))
		args = append(args, "-U", "0", "-l", r.addrs[0])
		for i, tag := range p.tags {
			args = append(args, "-l", fmt.Sprintf("tag_%s_:%s", tag, r.addrs[1+i]))
		}
	}
	c := exec.Command(binary, args...)
	c.Env = append(os.Environ(), p.env...)
	c.Stderr, c.Stdout = &r.stderr, io.Discard
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { c.Wait(); close(r.ended) }()
	r.kill = func() { c.Process.Signal(syscall.SIGKILL) }
	t.Cleanup(r.stop) // at the latest
	for range r.addrs {
		r.conns, r.reads = append(r.conns, nil), append(r.reads, bufio.NewReader(nil))
	}
	for i := range r.addrs {
		if !r.dial(t, i) {
			return nil, "it ended: " + r.stderr.String()
		}
	}
	return r, ""
}

func freeAddrs(t *testing.T, n int) (addrs []string) {
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs
}

func (r *running) stop() {
	r.kill()
	<-r.ended
	for _, conn := range r.conns {
		if conn != nil {
			conn.Close()
		}
	}
}

// dial connects client i anew, false if the proxy has ended.
func (r *running) dial(t *testing.T, i int) bool {
	t.Helper()
	network := "unix"
	if !strings.HasPrefix(r.addrs[i], "/") {
		network = "tcp"
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial(network, r.addrs[i])
		if err == nil {
			r.conns[i] = conn
			r.reads[i].Reset(conn)
			return true
		}
		select {
		case <-r.ended:
			return false
		default:
		}
	}
	t.Fatalf("nobody listens at %s", r.addrs[i])
	return false
}

func (p *plan) converse(t *testing.T, binary string, args ...string) (got talked) {
	t.Helper()
	f := startFakes(t, p.addrs)
	defer f.stop()
	var r *running
	if r, got.failed = p.start(t, binary, args...); got.failed != "" {
		return got
	}
	defer r.stop()
	time.Sleep(300 * time.Millisecond) // so that connections are there, or have failed
	for n, req := range p.talk {
		i := 0
		if p.at != nil {
			i = p.at[n]
		}
		text, err := r.ask(i, req)
		if err != nil {
			if text += "(silent)"; !errors.Is(err, os.ErrDeadlineExceeded) {
				text = "(closed)" // whether a last line arrives before the end is chance
			}
			r.conns[i].Close()
			if !r.dial(t, i) { // it has listened, and then found that it cannot start
				return talked{failed: "it ended: " + r.stderr.String()}
			}
		}
		got.answers = append(got.answers, text)
	}
	for n := -1; n != f.count(); time.Sleep(100 * time.Millisecond) {
		n = f.count()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	got.seen, got.total = f.seen, f.total
	f.seen = nil
	return got
}

// ask gives what client i is answered, up to the error if there is one.
func (r *running) ask(i int, req string) (text string, err error) {
	r.conns[i].SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(r.conns[i], req+"mn\r\n"); err != nil {
		return "", err
	}
	for !strings.HasSuffix(text, "MN\r\n") {
		line, err := r.reads[i].ReadString('\n')
		if text += line; err != nil {
			return text, err
		}
	}
	return strings.TrimSuffix(text, "MN\r\n"), nil
}
