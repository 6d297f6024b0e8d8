// A wrapped connection behaves like the one inside, over TCP and unix sockets.

package sock

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// pair gives the two ends of a connection, the first wrapped.
func pair(t *testing.T, network string) (wrapped, plain net.Conn) {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	w := Wrap(a)
	if w == a {
		t.Fatal("a socket was not wrapped")
	}
	return w, b
}

func each(t *testing.T, f func(t *testing.T, wrapped, plain net.Conn)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			w, p := pair(t, network)
			f(t, w, p)
		})
	}
}

// More than the socket's buffers hold goes both ways at once: reads and writes wait for the poller many times.
func TestMuchBothWays(t *testing.T) {
	each(t, func(t *testing.T, w, p net.Conn) {
		data := make([]byte, 32<<20)
		rand.Read(data)
		echoed := make(chan error, 1)
		go func() {
			_, err := io.Copy(p, p)
			echoed <- errors.Join(err, p.Close())
		}()
		sent := make(chan error, 1)
		go func() {
			n, err := w.Write(data)
			if n != len(data) && err == nil {
				err = io.ErrShortWrite
			}
			sent <- err
		}()
		got := make([]byte, len(data))
		if _, err := io.ReadFull(w, got); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("the bytes that come back differ (%v)", err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		w.Close()
		if err := <-echoed; err != nil {
			t.Error(err)
		}
	})
}

func TestEndOfStream(t *testing.T) {
	each(t, func(t *testing.T, w, p net.Conn) {
		p.Write([]byte("last"))
		p.Close()
		if got, err := io.ReadAll(w); string(got) != "last" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if n, err := w.Read(nil); n != 0 || err != nil {
			t.Errorf("an empty read: %d, %v", n, err)
		}
	})
}

func TestDeadline(t *testing.T) {
	each(t, func(t *testing.T, w, p net.Conn) {
		w.SetDeadline(time.Now().Add(-time.Second))
		var ne net.Error
		if _, err := w.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("read: %v", err)
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write: %v", err)
		}
		w.SetDeadline(time.Time{})
		p.Write([]byte("y"))
		b := make([]byte, 1)
		if _, err := w.Read(b); err != nil || b[0] != 'y' {
			t.Errorf("after the deadline: %q, %v", b, err)
		}
	})
}

// Try writes what there is room for, and says how much that was.
func TestTry(t *testing.T) {
	each(t, func(t *testing.T, w, p net.Conn) {
		data := make([]byte, 64<<20) // more than sockets hold
		rand.Read(data)
		n, err := Try(w, data)
		if err != nil || n == 0 || n == len(data) {
			t.Fatalf("took %d (%v)", n, err)
		}
		if m, err := Try(w, data[n:n+1]); m != 0 || err != nil { // nobody reads
			t.Fatalf("took %d more (%v)", m, err)
		}
		w.Close()
		if got, err := io.ReadAll(p); err != nil || !bytes.Equal(got, data[:n]) {
			t.Errorf("%d bytes came, want %d (%v)", len(got), n, err)
		}
		if _, err := Try(w, data[:1]); !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
	a, b := net.Pipe()
	go func() { Try(a, []byte("whole")); a.Close() }()
	if got, err := io.ReadAll(b); string(got) != "whole" || err != nil {
		t.Errorf("through a pipe: %q, %v", got, err)
	}
}

// Close ends a read and a write that wait.
func TestClose(t *testing.T) {
	each(t, func(t *testing.T, w, _ net.Conn) {
		ended := make(chan error, 2)
		began := make(chan bool, 2)
		go func() {
			began <- true
			_, err := w.Read(make([]byte, 1))
			ended <- err
		}()
		go func() {
			began <- true
			_, err := w.Write(make([]byte, 64<<20)) // nobody reads
			ended <- err
		}()
		<-began
		<-began
		w.Close()
		for range 2 {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		}
	})
}

func TestWriteToOneWhoHasGone(t *testing.T) {
	each(t, func(t *testing.T, w, p net.Conn) {
		p.Close()
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 1<<20))
		}
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "write" || !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v", err)
		}
	})
}

func TestNotASocket(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if Wrap(a) != a {
		t.Error("a pipe was wrapped")
	}
}

func TestAlloc(t *testing.T) {
	w, p := pair(t, "tcp")
	buf := make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		p.Write(buf)
		io.ReadFull(w, buf)
		w.Write(buf)
		io.ReadFull(p, buf)
	}); n != 0 {
		t.Errorf("%v allocations for a message each way", n)
	}
}

// A write waits for a full socket as long as it may, and leaves no deadline behind.
func TestWriteFor(t *testing.T) {
	c, far := pair(t, "tcp")
	much := make([]byte, 64<<20)
	if n, err := WriteFor(c, much, time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == len(much) {
		t.Fatalf("%d of %d: %v", n, len(much), err)
	}
	go io.Copy(io.Discard, far)
	if n, err := WriteFor(c, much, 0); n != len(much) || err != nil {
		t.Errorf("%d of %d: %v", n, len(much), err)
	}
	var d Patient
	if d.Left() != 0 {
		t.Errorf("none, and %v are left", d.Left())
	}
	if d.SetWriteDeadline(time.Now().Add(time.Hour)); d.Left() > time.Hour || d.Left() < time.Hour-time.Minute {
		t.Errorf("of an hour %v are left", d.Left())
	}
	if d.SetWriteDeadline(time.Unix(1, 0)); d.Left() != 1 {
		t.Errorf("of the past %v are left", d.Left())
	}
	if d.SetWriteDeadline(time.Time{}); d.Left() != 0 {
		t.Errorf("taken back, and %v are left", d.Left())
	}
}

// What one end has written and the other has not read is what the socket holds.
func TestUnsent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the system does not say")
	}
	each(t, func(t *testing.T, w, p net.Conn) {
		raw, err := w.(*conn).Conn.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		holds := func() (n int) {
			raw.Control(func(fd uintptr) { n = Unsent(int(fd)) })
			return n
		}
		w.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		n, err := w.Write(make([]byte, 32<<20)) // more than fits
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if holds() == 0 {
			t.Error("a full socket holds nothing")
		}
		if _, err := io.CopyN(io.Discard, p, int64(n)); err != nil {
			t.Fatal(err)
		}
		for until := time.Now().Add(10 * time.Second); holds() > 0; {
			if time.Now().After(until) {
				t.Fatalf("it holds %d bytes of what has all been read", holds())
			}
		}
	})
	if n := Unsent(-1); n != 0 {
		t.Errorf("no socket holds %d bytes", n)
	}
}
