// string.format, as C's printf does it.

package lualib

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// spec is one conversion: %-5.2s.
type spec struct {
	text  string // flags, width and precision as written
	verb  byte
	flags string
	minus bool
	width int
	prec  int // -1: none
}

// flagsFor says which flags a conversion takes, and which take a precision; C calls the rest undefined, Lua an error.
var flagsFor = map[byte]string{
	'd': "-+0 .", 'i': "-+0 .", 'u': "-0.", 'c': "-", 'a': "-+#0 .", 'A': "-+#0 .", 'e': "-+#0 .", 'E': "-+#0 .",
	'f': "-+#0 .", 'g': "-+#0 .", 'G': "-+#0 .", 'o': "-#0.", 'x': "-#0.", 'X': "-#0.", 'p': "-", 's': "-.", 'q': "",
}

func strFormat(h *Host, L *lua.LState) int {
	f := h.str(L, 1)
	var b []byte
	arg := 1
	for {
		i := strings.IndexByte(f, '%')
		if i < 0 {
			break
		}
		b = append(b, f[:i]...)
		f = f[i+1:]
		if strings.HasPrefix(f, "%") {
			b = append(b, '%')
			f = f[1:]
			continue
		}
		sp, n := h.spec(L, f)
		f = f[n:]
		arg++
		if arg > L.GetTop() {
			h.argError(L, arg, "no value")
		}
		grown := len(b)
		b = h.formatArg(L, b, sp, arg)
		h.checkSize(L, len(b)-grown)
	}
	h.checkSize(L, len(b)+len(f))
	L.Push(own(append(b, f...)))
	return 1
}

// spec reads the conversion that f begins with, after its %, and gives its length.
func (h *Host) spec(L *lua.LState, f string) (sp spec, n int) {
	const longest = 22
	for n < len(f) && strings.IndexByte("-+#0 .123456789", f[n]) >= 0 {
		n++
	}
	if n >= longest {
		h.raise(L, "invalid format string to 'format'")
	}
	sp.text, sp.prec = f[:n], -1
	if n < len(f) {
		sp.verb = f[n]
	}
	allowed, ok := flagsFor[sp.verb]
	switch {
	case !ok:
		h.raise(L, "invalid conversion '%%%s' to 'format'", f[:min(n+1, len(f))])
	case sp.verb == 'q' && n > 0:
		h.raise(L, "specifier '%%q' cannot have modifiers")
	case !sp.parse(allowed):
		h.raise(L, "invalid conversion specification: '%%%s'", f[:n+1])
	}
	return sp, n + 1
}

// parse takes text apart and reports whether it holds only what is allowed.
func (sp *spec) parse(allowed string) bool {
	n := 0
	for n < len(sp.text) && sp.text[n] != '.' && strings.IndexByte(allowed, sp.text[n]) >= 0 {
		n++
	}
	sp.flags = sp.text[:n]
	sp.minus = strings.Contains(sp.flags, "-")
	if n < len(sp.text) && sp.text[n] != '0' {
		sp.width, n = digits(sp.text, n)
	}
	if n < len(sp.text) && sp.text[n] == '.' && strings.Contains(allowed, ".") {
		sp.prec, n = digits(sp.text, n+1)
	}
	return n == len(sp.text)
}

// digits reads at most two digits of f at n.
func digits(f string, n int) (v, end int) {
	for end = n; end < len(f) && end < n+2 && f[end] >= '0' && f[end] <= '9'; end++ {
		v = v*10 + int(f[end]-'0')
	}
	return v, end
}

func (h *Host) formatArg(L *lua.LState, b []byte, sp spec, arg int) []byte {
	switch sp.verb {
	case 'c':
		return sp.pad(b, string([]byte{byte(h.int(L, arg))}))
	case 'd', 'i':
		return fmt.Appendf(b, "%"+sp.text+"d", int64(h.int(L, arg)))
	case 'u':
		return fmt.Appendf(b, "%"+sp.text+"d", uint64(h.int(L, arg)))
	case 'o', 'x', 'X':
		return fmt.Appendf(b, "%"+sp.text+string(rune(sp.verb)), uint64(h.int(L, arg)))
	case 'a', 'A', 'e', 'E', 'f', 'g', 'G':
		return sp.float(b, h.num(L, arg))
	case 'p':
		return sp.pad(b, pointer(L.Get(arg)))
	case 'q':
		return h.quoted(L, b, arg)
	}
	s := h.tostring(L, L.Get(arg))
	if sp.text != "" && strings.IndexByte(s, 0) >= 0 {
		h.argError(L, arg, "string contains zeros")
	}
	if sp.prec >= 0 && sp.prec < len(s) {
		s = s[:sp.prec]
	}
	return sp.pad(b, s)
}

// pad appends s, in bytes, as wide as the conversion asks.
func (sp *spec) pad(b []byte, s string) []byte {
	blanks := strings.Repeat(" ", max(sp.width-len(s), 0))
	if sp.minus {
		return append(append(b, s...), blanks...)
	}
	return append(append(b, blanks...), s...)
}

// float appends v as C writes it; Go differs in infinities, in %a and in %g with #.
func (sp *spec) float(b []byte, v float64) []byte {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		s := "inf"
		if math.IsNaN(v) {
			s = "nan"
		}
		if v < 0 {
			s = "-" + s
		} else if strings.Contains(sp.flags, "+") {
			s = "+" + s
		} else if strings.Contains(sp.flags, " ") {
			s = " " + s
		}
		if sp.verb < 'a' {
			s = strings.ToUpper(s)
		}
		return sp.pad(b, s)
	}
	if sp.verb|0x20 == 'a' {
		s := hexFloat(v, sp.prec)
		if sp.verb == 'A' {
			s = strings.ToUpper(s)
		}
		return sp.pad(b, s)
	}
	format := "%" + sp.text
	if sp.prec < 0 {
		format += ".6"
	}
	return fmt.Appendf(b, format+string(rune(sp.verb)), v)
}

// hexFloat is C's %a: the exponent has as few digits as it needs.
func hexFloat(v float64, prec int) string {
	s := strconv.FormatFloat(v, 'x', prec, 64)
	i := strings.LastIndexAny(s, "+-")
	if i > 0 && len(s) == i+3 && s[i+1] == '0' {
		s = s[:i+1] + s[i+2:]
	}
	return s
}

func pointer(v lua.LValue) string {
	switch v.(type) {
	case *lua.LTable, *lua.LFunction, *lua.LUserData, *lua.LState:
		return fmt.Sprintf("%p", v)
	}
	return "(null)"
}

// quoted appends an argument so that Lua reads it back.
func (h *Host) quoted(L *lua.LState, b []byte, arg int) []byte {
	switch v := L.Get(arg).(type) {
	case lua.LString:
		h.chargeBytes(L, len(v))
		return appendQuoted(b, string(v))
	case lua.LNumber:
		f := float64(v)
		switch i, ok := toInteger(f); {
		case ok:
			return strconv.AppendInt(b, i, 10)
		case math.IsInf(f, 1):
			return append(b, "1e9999"...)
		case math.IsInf(f, -1):
			return append(b, "-1e9999"...)
		case math.IsNaN(f):
			return append(b, "(0/0)"...)
		}
		return append(b, hexFloat(f, -1)...)
	case *lua.LNilType, lua.LBool:
		return append(b, v.String()...)
	}
	h.argError(L, arg, "value has no literal form")
	return b
}

func appendQuoted(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '\n':
			b = append(b, '\\', c)
		case classes[c]&isCntrl != 0:
			b = append(b, '\\')
			if i+1 < len(s) && classes[s[i+1]]&isDigit != 0 {
				b = fmt.Appendf(b, "%03d", c)
			} else {
				b = strconv.AppendInt(b, int64(c), 10)
			}
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
