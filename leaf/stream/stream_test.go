package stream

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidepool-proxy/tidepool/leaf/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const now = int64(1_700_000_000_000)

func item(key, value string, f func(*store.Listed)) store.Listed {
	l := store.Listed{Item: store.Item{Key: []byte(key), Value: []byte(value), CAS: 7, Access: now}, Size: len(value)}
	if f != nil {
		f(&l)
	}
	return l
}

var items = []store.Listed{
	item("k", "v", nil),
	item("k", "", func(l *store.Listed) { l.CAS = 1<<64 - 1; l.Flags = 1<<32 - 1; l.Heat = 15; l.Bits = 0xff }),
	item("höher", "EN\r\n", func(l *store.Listed) { l.Exp = now + 1; l.Access = now - 12_345_678 }),
	item("a b", "\r\n", func(l *store.Listed) { l.Exp = now + 30*24*3600*1000; l.Bits = store.BitStale }),
	item("\x00\x7f\r\n", "ms k 1\r\n", func(l *store.Listed) { l.Exp = now + 30*24*3600*1000 + 1; l.Bits = store.BitWon }),
	item(strings.Repeat("k", 250), strings.Repeat("v", 100_000), nil),
}

// What the lines say, as any memcached would read them.
func TestLines(t *testing.T) {
	f := func(l store.Listed, hd, ms string) {
		t.Helper()
		if got := AppendKey(nil, &l, now); string(got) != hd {
			t.Errorf("key: got %q, want %q", got, hd)
		}
		if got := AppendItem(nil, &l, now); string(got) != ms {
			t.Errorf("item: got %q, want %q", got, ms)
		}
	}
	f(items[0], "HD kk s1 t-1 c7 f0 O0.0.0.0\r\n", "ms k 1 T0 E7 F0 O0.0.0.0\r\nv\r\n")
	f(items[2], "HD khöher s4 t1 c7 f0 O0.0.7clzi.1\r\n", "ms höher 4 T1 E7 F0 O0.0.7clzi.1\r\nEN\r\n\r\n")
	f(items[3], "HD kYSBi s2 t2592000 c7 f0 O2.0.0.16v7k00 b X\r\n", "ms YSBi 2 T2592000 E7 F0 O2.0.0.16v7k00 b\r\n\r\n\r\n")
	f(items[4], "HD kAH8NCg== s8 t2592001 c7 f0 O4.0.0.16v7k01 b Z\r\n", "ms AH8NCg== 8 T1702592001 E7 F0 O4.0.0.16v7k01 b\r\nms k 1\r\n\r\n")
	gone := item("k", "v", func(l *store.Listed) { l.Exp = now })
	f(gone, "", "")
}

// Whatever way a stream is cut, the same items come of it.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, values := range []bool{false, true} {
		var all []byte
		for i := range items {
			if values {
				all = AppendItem(all, &items[i], now)
			} else {
				all = AppendKey(all, &items[i], now)
			}
		}
		all = append(all, "EN\r\n"...)
		for _, most := range []int{1, 7, 100, 1 << 20} {
			var d decoder
			n := 0
			err := error(nil)
			for rest := all; len(rest) > 0 && err == nil; {
				cut := min(1+r.IntN(most), len(rest))
				d.feed(rest[:cut])
				rest = rest[cut:]
				var l *store.Listed
				for l, err = d.next(now); l != nil; l, err = d.next(now) {
					same(t, l, &items[n], values)
					n++
				}
			}
			if n != len(items) || err != io.EOF || !d.ended() {
				t.Errorf("values %v, cut at %d: %d items, %v", values, most, n, err)
			}
			if most == 1 && values {
				break // enough of it
			}
		}
	}
}

func same(t *testing.T, got, want *store.Listed, values bool) {
	t.Helper()
	g, w := *got, *want
	if !bytes.Equal(g.Key, w.Key) || values && !bytes.Equal(g.Value, w.Value) || !values && g.Value != nil {
		t.Fatalf("got %q with %.40q, want %q", g.Key, g.Value, w.Key)
	}
	if g.Flags != w.Flags || g.CAS != w.CAS || g.Exp != w.Exp || g.Access != w.Access || g.Bits != w.Bits || g.Size != w.Size || g.Heat != w.Heat {
		t.Fatalf("got %+v, want %+v", g, w)
	}
}

func TestMalformed(t *testing.T) {
	const ms, hd = "ms k 1 T0 E7 F0 O0.0.0.0\r\nv\r\n", "HD kk s1 t-1 c7 f0 O0.0.0.0\r\n"
	f := func(s, old, with string) {
		t.Helper()
		bad := strings.Replace(s, old, with, 1)
		if bad == s {
			t.Fatalf("%q is not in %q", old, s)
		}
		var d decoder
		d.feed([]byte(bad))
		if l, err := d.next(now); l != nil || err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%q: got %v, %v", bad, l, err)
		}
	}
	for _, s := range []string{ms, hd} {
		f(s, " O0.0.0.0", "")
		f(s, "O0.0.0.0", "O0.0.0")
		f(s, "O0.0.0.0", "O")
		f(s, "O0.0.0.0", "O-1.0.0.0")
		f(s, "O0.0.0.0", "O74.0.0.0") // 256
		f(s, "O0.0.0.0", "O0.g.0.0")  // 16
		f(s, "O0.0.0.0", "O0.0.zzzzzzzzzzzz.0")
		f(s, "O0.0.0.0", "O0.0.0.0 b") // k is no base64
	}
	f(ms, "E7", "Ex")
	f(ms, " E7", "")
	f(ms, "F0", "F4294967296")
	f(ms, " F0", "")
	f(ms, "\r\nv\r\n", "\r\nvv\r\n")
	f(ms, "ms k", "mg k")
	f(ms, "ms k", "ms "+strings.Repeat("k", 251))
	f(ms, "ms k 1", "ms k 1073741825")
	f(hd, "c7", "c-7")
	f(hd, " c7", "")
	f(hd, " kk", "")
	f(hd, "kk", "k")
	f(hd, " f0", "")
	f(hd, "s1", "s1073741825")
	f(hd, " s1", "")
	f(hd, hd, "VA 1 kk\r\nx\r\n")
	f(hd, hd, "STORED\r\n")
	f(hd, hd, "SERVER_ERROR no\r\n")
	f(hd, hd, "\r\n")
	f(hd, hd, strings.Repeat("H", 5000))
}

// FuzzDecode: whatever comes gives items or an error, and what is an item can be written again and read the same.
func FuzzDecode(f *testing.F) {
	for i := range items[:5] {
		f.Add(AppendKey(nil, &items[i], now), 3)
		f.Add(append(AppendItem(nil, &items[i], now), "EN\r\n"...), 100)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var d decoder
		cut = max(1, cut)
		for len(b) > 0 {
			n := min(cut, len(b))
			d.feed(b[:n])
			b = b[n:]
			for {
				l, err := d.next(now)
				if err != nil {
					return
				}
				if l == nil {
					break
				}
				if l.Exp != 0 && l.Exp <= now || len(l.Key) == 0 {
					t.Fatalf("impossible item %+v", l)
				}
				if len(l.Key) > 180 {
					continue // in base64 it may be too long
				}
				var again decoder
				if l.Value == nil {
					again.feed(AppendKey(nil, l, now))
				} else {
					again.feed(AppendItem(nil, l, now))
				}
				back, err := again.next(now)
				if err != nil || back == nil {
					t.Fatalf("%+v does not come back: %v", l, err)
				}
				same(t, back, l, l.Value != nil)
			}
		}
	})
}
