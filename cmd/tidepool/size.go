// Sizes in bytes, as people write them.

package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// units are powers of 1024, as memcached's are. MB and its like are refused: half the world takes them for powers of 1000.
var units = []struct {
	short, long string
	shift       uint
}{
	{"t", "tib", 40},
	{"g", "gib", 30},
	{"m", "mib", 20},
	{"k", "kib", 10},
	{"", "b", 0},
}

// parseSize reads 1048576, 1024k, 1m, 1MiB.
func parseSize(s string) (int64, error) {
	digits := s
	if i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = s[:i]
	}
	unit := strings.ToLower(strings.TrimPrefix(s[len(digits):], " "))
	for _, u := range units {
		if unit != u.short && unit != u.long {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 64)
		if digits == "" {
			break
		}
		if err != nil || n > math.MaxInt64>>u.shift {
			return 0, fmt.Errorf("cannot read size %q: it is larger than %d bytes", s, int64(math.MaxInt64))
		}
		return int64(n << u.shift), nil
	}
	return 0, fmt.Errorf("cannot read size %q: want a number of bytes, or one with k, m, g, t or KiB, MiB, GiB, TiB", s)
}

// formatSize is parseSize's inverse, in the largest unit that divides n.
func formatSize(n int64) string {
	names := map[uint]string{40: "TiB", 30: "GiB", 20: "MiB", 10: "KiB"}
	for _, u := range units {
		if name := names[u.shift]; n > 0 && name != "" && n&(1<<u.shift-1) == 0 {
			return strconv.FormatInt(n>>u.shift, 10) + name
		}
	}
	return strconv.FormatInt(n, 10)
}

// sizeValue is a flag that holds a size.
type sizeValue int64

func (v *sizeValue) String() string { return formatSize(int64(*v)) }
func (v *sizeValue) Type() string   { return "SIZE" }
func (v *sizeValue) Set(s string) error {
	n, err := parseSize(s)
	if err == nil {
		*v = sizeValue(n)
	}
	return err
}

// sizeVar adds a flag whose value is a size in bytes.
func sizeVar(fs *pflag.FlagSet, p *int64, name string, value int64, usage string) {
	*p = value
	fs.Var((*sizeValue)(p), name, usage)
}
