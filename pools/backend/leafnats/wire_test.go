// What is ours and what is nats.go's is told apart however it arrives; what is written stays whole.

package leafnats

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/sock"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/leaf/access"
	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/tests/pki"
)

const hello = "INFO {\"server_name\":\"leaf-1\",\"max_payload\":1048576,\"tls_available\":false}\r\n"

// pieces gives b in reads of at most n bytes, then io.EOF.
type pieces struct {
	net.Conn
	b []byte
	n int
}

func (p *pieces) Read(b []byte) (int, error) {
	n := copy(b[:min(len(b), p.n)], p.b)
	if p.b = p.b[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// split reads all that in gives through a wire with an inbox, and gives what nats.go and the inbox have of it.
func split(t *testing.T, in string, n int) (theirs string, ours []string) {
	t.Helper()
	w := newWire(&pieces{b: []byte(in), n: n}, time.Second)
	w.take("in.x", func(data []byte) { ours = append(ours, string(data)) })
	got, err := io.ReadAll(iotest{w, n})
	if err != nil {
		t.Fatal(err)
	}
	return string(got), ours
}

// iotest reads at most n bytes at a time, and n/2.
type iotest struct {
	r io.Reader
	n int
}

func (r iotest) Read(p []byte) (int, error) { return r.r.Read(p[:min(len(p), r.n/2+1)]) }

func TestWireTellsApart(t *testing.T) {
	large := strings.Repeat("0123456789\r\nMSG in.x 1 2\r\n", 10<<10)
	msg := func(subject, data string) string {
		return fmt.Sprintf("MSG %s 7 %d\r\n%s\r\n", subject, len(data), data)
	}
	in := hello + "PING\r\n" + msg("in.x", "one") + "PONG\r\n" + msg("in.xy", "two") + msg("in.x", large) + msg("in.y", large) +
		"HMSG in.x 7 16 16\r\nNATS/1.0 503\r\n\r\n\r\n" + msg("in.x r", "") + "-ERR 'x'\r\n" + msg("in.x", "three\r\n")
	theirs := hello + "PING\r\nPONG\r\n" + msg("in.xy", "two") + msg("in.y", large) + "HMSG in.x 7 16 16\r\nNATS/1.0 503\r\n\r\n\r\n-ERR 'x'\r\n"
	ours := []string{"one", large, "", "three\r\n"}
	for _, n := range []int{1, 2, 3, 7, 100, 4096, 1 << 20} {
		got, took := split(t, in, n)
		if got != theirs || strings.Join(took, "|") != strings.Join(ours, "|") {
			t.Errorf("in pieces of %d: nats.go has %d bytes, want %d; we have %d messages, want %d", n, len(got), len(theirs), len(took), len(ours))
		}
	}
}

// Where TLS may follow, where it has begun, and where nothing can be told, all is nats.go's, at once.
func TestWireLeavesAlone(t *testing.T) {
	msg := "MSG in.x 7 3\r\none\r\n"
	for _, in := range []string{
		"INFO {\"tls_required\":true}\r\n" + msg,
		"INFO {\"tls_available\": true}\r\n" + msg + "MSG in",
		"INFO what?\r\n" + msg,
		"I\r\n" + msg,
		"\x16\x03\x01" + msg,
		hello + "MSG in.x 7 x\r\n" + msg,
		hello + "MSG in.x 7 999999999\r\n" + msg,
		hello + "MSG in.x 7 3 \r\none\r\n" + msg, // nats.go reads these two
		hello + "msg in.y 7 21\r\nMSG in.x 1 4\r\nfake\r\n\r\n" + msg,
		hello + strings.Repeat("x", 2*wireLine),
	} {
		for _, n := range []int{1, 5, 1000, 64 << 10} {
			if len(in) > wireLine && n < 1000 {
				continue
			}
			if got, ours := split(t, in, n); got != in || len(ours) > 0 {
				t.Errorf("%.80q in pieces of %d: nats.go has %.80q, we have %q", in, n, got, ours)
			}
		}
	}
}

// socket gives the two ends of a TCP connection, the first as a wire.
func socket(t *testing.T, patience time.Duration) (*wire, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	w := newWire(sock.Wrap(a), patience)
	w.heard([]byte("{\"max_payload\":100000000}"))
	return w, b
}

// Messages and nats.go's commands arrive whole, whoever writes how much.
func TestWireWritesWhole(t *testing.T) {
	const each, writers = 300, 3
	w, server := socket(t, patience)
	payload := bytes.Repeat([]byte("v"), 100<<10)
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for i := range each {
				size := i
				if i%50 == 0 {
					size = len(payload) // longer than what is copied
				}
				if err := w.publish("tp.1.a.0", "in.x", payload[:size]); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Go(func() {
		for range each {
			w.SetWriteDeadline(time.Now().Add(patience))
			if n, err := fmt.Fprint(w, "PING\r\nPONG\r\n"); n != 12 || err != nil {
				t.Error(n, err)
				return
			}
			w.SetWriteDeadline(time.Time{})
		}
	})
	go func() { all.Wait(); w.Close() }()
	pings, pubs := 0, 0
	for r := bufio.NewReader(server); ; {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		var size int
		switch _, no := fmt.Sscanf(line, "PUB tp.1.a.0 in.x %d\r\n", &size); {
		case line == "PING\r\n" || line == "PONG\r\n":
			pings++
		case no == nil:
			pubs++
			if got, err := io.ReadAll(io.LimitReader(r, int64(size)+2)); err != nil || string(got) != string(payload[:size])+"\r\n" {
				t.Fatalf("payload of %d bytes: %.20q... (%v)", size, got, err)
			}
		default:
			t.Fatalf("line %.40q (%v)", line, err)
		}
	}
	if pings != 2*each || pubs != writers*each {
		t.Errorf("%d commands and %d messages, want %d and %d", pings, pubs, 2*each, writers*each)
	}
}

// A server that takes nothing costs who publishes the patience, and ends the connection; nats.go has the deadline that it has set.
func TestWirePatience(t *testing.T) {
	flood := make([]byte, 64<<20) // more than sockets hold
	w, _ := socket(t, 50*time.Millisecond)
	if err := w.publish("a", "b", flood); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("published: %v", err)
	}
	if err := w.publish("a", "b", nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("published after that: %v", err)
	}
	if err := w.publish("a", "b", make([]byte, 100000001)); !errors.Is(err, nats.ErrMaxPayload) {
		t.Errorf("published more than the server takes: %v", err)
	}
	w, _ = socket(t, patience)
	w.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := w.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nats.go read: %v", err)
	}
	n, err := w.Write(flood)
	if n == 0 || n == len(flood) || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nats.go wrote %d: %v", n, err)
	}
	w.SetDeadline(time.Time{})
	if err := w.publish("a", "b", nil); !errors.Is(err, net.ErrClosed) { // it would stand in the middle of what nats.go wrote
		t.Errorf("published behind a part of a command: %v", err)
	}
}

// Frames and answers go past nats.go, before and after the connection was lost, unless there is TLS, asked for here or there. What is large is the
// requests' own.
func TestWireOrNot(t *testing.T) {
	ca := pki.New(t)
	cert := ca.Issue(t, time.Hour, "127.0.0.1")
	secured, err := access.TLS{Cert: cert.Cert, Key: cert.Key}.Server()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		tls  *tls.Config
		as   Access
	}{
		{"plain", nil, Access{}},
		{"TLS", secured, Access{TLS: nats.RootCAs(ca.File)}},
		{"TLS of which only the server tells", secured, Access{Auth: nats.RootCAs(ca.File)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ev := newEvents()
			l := startLeaf(t, leaf.Options{MaxItem: 4 << 20, TLS: test.tls})
			b := startBackend(t, Options{URL: l.URL(), Conns: NewConns(test.as), OnEvent: ev.on})
			for range 2 {
				ev.wait(t, backend.EventConnected)
				largeAnswers(t, b)
				c := newClient(t, 0)
				for range 50 { // a frame each
					if got := c.do(b, "mn\r\n"); got != "MN\r\n" {
						t.Fatal(got)
					}
				}
				b.mu.Lock()
				nc, sess := b.nc, b.sess
				b.mu.Unlock()
				got, err := sess.sub.Delivered()
				if err != nil {
					t.Error(err)
				}
				if sent := nc.Stats().OutMsgs; test.tls == nil && (got > 0 || sent > 50) || test.tls != nil && (got < 50 || sent < 50) { // hello is nats.go's
					t.Errorf("nats.go has sent %d messages and had %d", sent, got)
				}
				b.conn.mu.Lock()
				b.conn.socket.Close()
				b.conn.mu.Unlock()
				ev.wait(t, backend.EventDisconnected)
			}
		})
	}
}

// largeAnswers has several at a time, each read over the bytes of the one before, and looks at them when all have come.
func largeAnswers(t *testing.T, b *Backend) {
	t.Helper()
	value := strings.Repeat("0123456789", 300<<10/10)
	c := newClient(t, 0)
	if got := c.do(b, fmt.Sprintf("set big 0 0 %d\r\n%s\r\n", len(value), value)); got != "STORED\r\n" {
		t.Fatal(got)
	}
	for i := range 8 {
		c.send(b, i, request(t, "get big\r\n"))
	}
	want := fmt.Sprintf("VALUE big 0 %d\r\n%s\r\nEND\r\n", len(value), value)
	for _, p := range c.take(8) {
		if got := text(p); got != want {
			t.Errorf("answer of %d bytes, want %d: %.40q", len(got), len(want), got)
		}
		p.Release()
	}
}
