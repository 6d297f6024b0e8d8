// Numbers as text. There is one kind of number, float64; those that are integral print as Lua's integers do.

package lualib

import (
	"math"
	"strconv"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

// formatNumber is tostring of a number: %d if it is integral and fits 64 bits, %.14g otherwise.
func formatNumber(v float64) string {
	var b [32]byte
	return string(appendNumber(b[:0], v))
}

func appendNumber(b []byte, v float64) []byte {
	if i, ok := toInteger(v); ok {
		return strconv.AppendInt(b, i, 10)
	}
	switch {
	case math.IsInf(v, 1):
		return append(b, "inf"...)
	case math.IsInf(v, -1):
		return append(b, "-inf"...)
	case math.IsNaN(v):
		return append(b, "nan"...)
	}
	return strconv.AppendFloat(b, v, 'g', 14, 64)
}

// space is Lua's white space.
const space = " \t\n\v\f\r"

// parseNumber reads a number as tonumber does: blanks around it, a sign, any numeral.
func parseNumber(s string) (float64, bool) {
	s = strings.Trim(s, space)
	neg := strings.HasPrefix(s, "-")
	if neg || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	if s == "" || s[0] == '-' || s[0] == '+' {
		return 0, false
	}
	v, ok := source.ParseNumber(s)
	if neg {
		v = -v
	}
	return v, ok
}

// parseBase reads an integer in the given base, 2 to 36.
func parseBase(s string, base int) (float64, bool) {
	s = strings.ToLower(strings.Trim(s, space))
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimPrefix(s, "-")
	if s == "" {
		return 0, false
	}
	var v int64
	for i := 0; i < len(s); i++ {
		d := 99
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			d = int(c - '0')
		case c >= 'a' && c <= 'z':
			d = int(c-'a') + 10
		}
		if d >= base {
			return 0, false
		}
		v = v*int64(base) + int64(d)
	}
	if neg {
		v = -v
	}
	return float64(v), true
}
