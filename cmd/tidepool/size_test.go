// Sizes as people write them.

package main

import (
	"math"
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	f := func(s string, want int64) {
		t.Helper()
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%q: got %d, %v; want %d", s, got, err, want)
		}
	}
	f("0", 0)
	f("1048576", 1<<20)
	f("12b", 12)
	f("1k", 1<<10)
	f("1KiB", 1<<10)
	f("64m", 64<<20)
	f("64M", 64<<20)
	f("256MiB", 256<<20)
	f("256 MiB", 256<<20)
	f("256mib", 256<<20)
	f("1g", 1<<30)
	f("2T", 2<<40)
	f("9223372036854775807", math.MaxInt64)
	f("8388607TiB", 8388607<<40)

	bad := func(s, want string) {
		t.Helper()
		got, err := parseSize(s)
		if err == nil || !strings.HasPrefix(err.Error(), `cannot read size "`+s+`": `) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %d, %v; want an error with %q", s, got, err, want)
		}
	}
	bad("", "want a number")
	bad("m", "want a number")
	bad("-1", "want a number")
	bad("1.5g", "want a number")
	bad("1 0", "want a number")
	bad("64MB", "want a number") // 1000 or 1024?
	bad("64mm", "want a number")
	bad("９", "want a number")
	bad("9223372036854775808", "larger than")
	bad("8388608TiB", "larger than")
	bad("99999999999999999999999", "larger than")
}

func TestFormatSize(t *testing.T) {
	f := func(n int64, want string) {
		t.Helper()
		if got := formatSize(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
		if back, err := parseSize(want); err != nil || back != n {
			t.Errorf("%q: reads back as %d, %v", want, back, err)
		}
	}
	f(0, "0")
	f(1000, "1000")
	f(1<<10, "1KiB")
	f(1536, "1536")
	f(64<<20, "64MiB")
	f(3<<29, "1536MiB")
	f(1<<40, "1TiB")
}
