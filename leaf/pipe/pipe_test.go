// What goes in at one end comes out at the other; deadlines, closed ends and a full queue are as net.Conn says.

package pipe

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
		a, b = New()
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

// Much more than there is room for goes both ways at once, in pieces of any size.
func TestMuchBothWays(t *testing.T) {
	a, b := New()
	var all sync.WaitGroup
	for seed, ends := range [][2]net.Conn{{a, b}, {b, a}} {
		from, to := ends[0], ends[1]
		all.Go(func() {
			rnd, content := rand.New(rand.NewPCG(uint64(seed), 1)), rand.NewChaCha8([32]byte{byte(seed)})
			p := make([]byte, 2*bound)
			for left := 8 * bound; left > 0; {
				n := min(left, 1+rnd.IntN(1+rnd.IntN(len(p))))
				content.Read(p[:n])
				if m, err := from.Write(p[:n]); m != n || err != nil {
					t.Errorf("wrote %d of %d: %v", m, n, err)
				}
				left -= n
			}
		})
		all.Go(func() {
			rnd, content := rand.New(rand.NewPCG(uint64(seed), 2)), rand.NewChaCha8([32]byte{byte(seed)})
			p, want := make([]byte, 2*bound), make([]byte, 2*bound)
			for left := 8 * bound; left > 0; {
				n, err := to.Read(p[:min(left, 1+rnd.IntN(1+rnd.IntN(len(p))))])
				content.Read(want[:n])
				if err != nil || !bytes.Equal(p[:n], want[:n]) {
					t.Errorf("other bytes with %d to come (%v)", left, err)
					to.Close()
					return
				}
				left -= n
			}
		})
	}
	all.Wait()
}

// The bytes of one Write are not mixed with those of another, even if there is room for a part only.
func TestWritersTakeTurns(t *testing.T) {
	const writers, size = 4, bound/2 + 12_345
	a, b := New()
	for i := range writers {
		go a.Write(bytes.Repeat([]byte{byte(i)}, size))
	}
	p, seen := make([]byte, size), map[byte]bool{}
	for range writers {
		if _, err := io.ReadFull(b, p); err != nil {
			t.Fatal(err)
		}
		seen[p[0]] = true
		if bytes.Count(p, p[:1]) != size {
			t.Fatal("two writes are mixed")
		}
	}
	if len(seen) != writers {
		t.Errorf("writes of %d", len(seen))
	}
}

// result is what a call returned, and when, after the test began.
type result struct {
	n   int
	err error
	at  time.Duration
}

// call runs f beside the test, in a bubble.
func call(f func([]byte) (int, error), size int) <-chan result {
	out, began := make(chan result, 1), time.Now()
	go func() {
		n, err := f(make([]byte, size))
		out <- result{n, err, time.Since(began)}
	}()
	synctest.Wait()
	return out
}

func (r result) want(t *testing.T, n int, err error, at time.Duration) {
	t.Helper()
	if r.n != n || !errors.Is(r.err, err) || (err == nil) != (r.err == nil) || r.at != at {
		t.Errorf("%d, %v after %v; want %d, %v after %v", r.n, r.err, r.at, n, err, at)
	}
}

// waits wants a call that has not returned.
func waits(t *testing.T, c <-chan result) {
	t.Helper()
	synctest.Wait()
	select {
	case r := <-c:
		t.Fatalf("does not wait: %+v", r)
	default:
	}
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := New()
		in := func(d time.Duration) time.Time { return time.Now().Add(d) }

		a.SetReadDeadline(in(time.Second))
		r := call(a.Read, 10)
		waits(t, r)
		(<-r).want(t, 0, os.ErrDeadlineExceeded, time.Second)
		b.Write([]byte("x"))
		(<-call(a.Read, 10)).want(t, 0, os.ErrDeadlineExceeded, 0) // whatever there is to read
		a.SetReadDeadline(time.Time{})
		(<-call(a.Read, 10)).want(t, 1, nil, 0)

		// Moved while somebody waits: later, sooner, away, and into the past.
		r = call(a.Read, 10)
		a.SetReadDeadline(in(time.Second))
		a.SetReadDeadline(in(time.Minute))
		time.Sleep(2 * time.Second)
		waits(t, r)
		a.SetReadDeadline(in(time.Second))
		(<-r).want(t, 0, os.ErrDeadlineExceeded, 3*time.Second)
		a.SetReadDeadline(in(time.Second))
		r = call(a.Read, 10)
		a.SetReadDeadline(time.Time{})
		time.Sleep(time.Hour)
		waits(t, r)
		a.SetDeadline(in(-1))
		(<-r).want(t, 0, os.ErrDeadlineExceeded, time.Hour)
		(<-call(a.Write, 10)).want(t, 0, os.ErrDeadlineExceeded, 0)
		(<-call(b.Write, 10)).want(t, 10, nil, 0) // the other end has its own

		// A write that finds room for a part.
		a.SetDeadline(in(time.Second))
		(<-call(a.Read, 20)).want(t, 10, nil, 0)
		(<-call(a.Write, bound+1)).want(t, bound, os.ErrDeadlineExceeded, time.Second)
		a.SetWriteDeadline(in(time.Second))
		w := call(a.Write, 10)
		waits(t, w)
		a.SetWriteDeadline(in(time.Minute))
		time.Sleep(2 * time.Second)
		(<-call(b.Read, 4)).want(t, 4, nil, 0)
		waits(t, w)
		(<-call(b.Read, 6)).want(t, 6, nil, 0)
		(<-w).want(t, 10, nil, 2*time.Second)
	})
}

// Who gets nothing has its deadline yet when others who waited have got something.
func TestReadersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const readers = 8
		a, b := New()
		a.SetReadDeadline(time.Now().Add(time.Second))
		all := make(chan error, readers)
		for range readers {
			go func() {
				_, err := a.Read(make([]byte, 1))
				all <- err
			}()
		}
		for range readers - 1 {
			b.Write([]byte("x"))
			if err := <-all; err != nil {
				t.Error(err)
			}
		}
		if err := <-all; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := New()
		for range 4 {
			(<-call(a.Write, bound/4)).want(t, bound/4, nil, 0) // and nobody reads
		}
		w := call(a.Write, 100)
		waits(t, w)
		(<-call(b.Read, 99)).want(t, 99, nil, 0)
		waits(t, w)
		(<-call(b.Read, 2*bound)).want(t, bound, nil, 0)
		(<-w).want(t, 100, nil, 0)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := New()
		a.Write([]byte("last"))
		b.Write(make([]byte, bound))
		w := call(b.Write, 10)
		waits(t, w)
		a.Close()
		(<-w).want(t, 0, io.ErrClosedPipe, 0)
		(<-call(a.Read, 10)).want(t, 0, net.ErrClosed, 0)
		(<-call(a.Write, 10)).want(t, 0, net.ErrClosed, 0)
		(<-call(b.Read, 3)).want(t, 3, nil, 0)
		(<-call(b.Read, 3)).want(t, 1, nil, 0)
		(<-call(b.Read, 3)).want(t, 0, io.EOF, 0)
		if err := a.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Error(err)
		}

		// Who waits is woken, by the own end and by the other.
		for _, own := range []bool{true, false} {
			a, b := New()
			a.SetDeadline(time.Now().Add(time.Hour))
			a.Write(make([]byte, bound))
			r, w := call(a.Read, 1), call(a.Write, 1)
			waits(t, r)
			waits(t, w)
			if own {
				a.Close()
				(<-r).want(t, 0, net.ErrClosed, 0)
				(<-w).want(t, 0, net.ErrClosed, 0)
			} else {
				b.Close()
				(<-r).want(t, 0, io.EOF, 0)
				(<-w).want(t, 0, io.ErrClosedPipe, 0)
			}
		}
	})
}

func TestAllocatesNothing(t *testing.T) {
	a, b := New()
	p, later := make([]byte, 40_000), time.Now().Add(time.Hour)
	if n := testing.AllocsPerRun(100, func() {
		a.SetWriteDeadline(later)
		a.Write(p)
		a.SetWriteDeadline(time.Time{})
		io.ReadFull(b, p)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkTurns is a message there and one back.
func BenchmarkTurns(b *testing.B) {
	for name, pair := range map[string]func() (net.Conn, net.Conn){"pipe": func() (net.Conn, net.Conn) { return New() }, "net": net.Pipe} {
		b.Run(name, func(b *testing.B) {
			x, y := pair()
			defer x.Close()
			go io.Copy(y, struct{ io.Reader }{y})
			p := make([]byte, 100)
			b.ReportAllocs()
			for b.Loop() {
				x.SetWriteDeadline(time.Now().Add(time.Minute))
				x.Write(p)
				io.ReadFull(x, p)
			}
		})
	}
}
