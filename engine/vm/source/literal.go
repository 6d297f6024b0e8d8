// Numbers and quoted strings.

package source

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

func (s *scanner) number(t token) (token, *Error) {
	start := s.pos
	exp := byte('e')
	if s.src[s.pos] == '0' && s.peek(1)|0x20 == 'x' {
		exp = 'p'
		s.pos += 2
	}
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		if c|0x20 == exp {
			s.pos++
			if s.peek(0) == '+' || s.peek(0) == '-' {
				s.pos++
			}
			continue
		}
		if !isHex(c) && c != '.' {
			break
		}
		s.pos++
	}
	if isLetter(s.peek(0)) { // makes it no number
		s.pos++
	}
	text := s.src[start:s.pos]
	v, ok := ParseNumber(text)
	if !ok {
		return t, s.fail(s.line, "malformed number near '%s'", text)
	}
	t.kind, t.text, t.number = kNumber, text, v
	t.integer, t.long = longInteger(text, v)
	return t, nil
}

// longInteger is the integer that text, which is v as a double, says in Lua 5.4, and whether no double holds it.
func longInteger(text string, v float64) (int64, bool) {
	var i int64
	if len(text) > 2 && text[1]|0x20 == 'x' {
		if strings.ContainsAny(text, ".pP") {
			return 0, false
		}
		i = wrapHex(text[2:])
	} else {
		var err error
		if i, err = strconv.ParseInt(text, 10, 64); err != nil {
			return 0, false // with a fraction, an exponent, or too long: a float in Lua 5.4 too
		}
	}
	return i, v >= 1<<63 || int64(v) != i
}

// ParseNumber reads a numeral as Lua 5.4 does (decimal, hexadecimal, hexadecimal floats; no sign, no blanks). Hexadecimal
// integers wrap at 64 bits. All numbers are float64 here.
func ParseNumber(s string) (float64, bool) {
	if len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		return parseHex(s[2:])
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !isDigit(c) && c != '.' && c|0x20 != 'e' && c != '+' && c != '-' { // no "inf", "nan", "1_000"
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(v, 0) {
		return 0, false
	}
	return v, true
}

func parseHex(s string) (float64, bool) {
	integer := true
	digits := 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case isHex(c):
			digits++
		case c == '.' || c|0x20 == 'p':
			integer = false
			if c != '.' {
				i = len(s)
			}
		default:
			return 0, false
		}
	}
	if digits == 0 || strings.Contains(s, "_") {
		return 0, false
	}
	if integer {
		return float64(wrapHex(s)), true
	}
	if !strings.ContainsAny(s, "pP") {
		s += "p0"
	}
	v, err := strconv.ParseFloat("0x"+s, 64)
	if err != nil && !math.IsInf(v, 0) {
		return 0, false
	}
	return v, true
}

// wrapHex is the integer whose hexadecimal digits are s, modulo 2^64.
func wrapHex(s string) int64 {
	var v uint64
	for i := 0; i < len(s); i++ {
		v = v<<4 | uint64(hexDigit(s[i]))
	}
	return int64(v)
}

func hexDigit(c byte) int {
	if isDigit(c) {
		return int(c - '0')
	}
	return int(c|0x20-'a') + 10
}

// quoted reads a string in quotes.
func (s *scanner) quoted(t token, q byte) (token, *Error) {
	start := s.pos
	s.pos++
	var b strings.Builder
	for {
		if s.pos == len(s.src) {
			return t, s.fail(s.line, "unfinished string near <eof>")
		}
		c := s.src[s.pos]
		switch {
		case c == q:
			s.pos++
			t.kind, t.text, t.raw = kString, b.String(), s.src[start:s.pos]
			return t, nil
		case c == '\n' || c == '\r':
			return t, s.fail(s.line, "unfinished string near '%s'", s.src[start:s.pos])
		case c == '\\':
			if err := s.escape(&b, start); err != nil {
				return t, err
			}
		default:
			b.WriteByte(c)
			s.pos++
		}
	}
}

var simpleEscapes = map[byte]byte{
	'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v', '\\': '\\', '"': '"', '\'': '\'',
}

// escape reads one escape sequence, its backslash first. str is where the string begins: errors show it from there.
func (s *scanner) escape(b *strings.Builder, str int) *Error {
	start := s.pos
	s.pos++
	c := s.peek(0)
	if e, ok := simpleEscapes[c]; ok {
		b.WriteByte(e)
		s.pos++
		return nil
	}
	switch {
	case s.pos == len(s.src):
		return nil // the caller reports the unfinished string
	case c == '\n' || c == '\r':
		s.newline()
		b.WriteByte('\n')
	case c == 'z':
		s.pos++
		s.skipSpace()
	case c == 'x':
		if !isHex(s.peek(1)) || !isHex(s.peek(2)) {
			return s.badEscape(str, "hexadecimal digit expected", start+4)
		}
		b.WriteByte(byte(hexDigit(s.peek(1))<<4 | hexDigit(s.peek(2))))
		s.pos += 3
	case c == 'u':
		return s.unicodeEscape(b, str)
	case isDigit(c):
		v := 0
		for i := 0; i < 3 && isDigit(s.peek(0)); i++ {
			v = v*10 + int(s.peek(0)-'0')
			s.pos++
		}
		if v > 255 {
			return s.badEscape(str, "decimal escape too large", s.pos+1)
		}
		b.WriteByte(byte(v))
	default:
		return s.badEscape(str, "invalid escape sequence", start+2)
	}
	return nil
}

func (s *scanner) skipSpace() {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; c {
		case '\n', '\r':
			s.newline()
		case ' ', '\t', '\v', '\f':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) badEscape(str int, msg string, end int) *Error {
	return s.fail(s.line, "%s near '%s'", msg, s.src[str:min(end, len(s.src))])
}

func (s *scanner) unicodeEscape(b *strings.Builder, str int) *Error {
	if s.peek(1) != '{' || !isHex(s.peek(2)) {
		return s.badEscape(str, "missing '{' or hexadecimal digit in \\u{xxxx}", s.pos+3)
	}
	s.pos += 2
	v := uint64(0)
	for isHex(s.peek(0)) {
		v = v<<4 | uint64(hexDigit(s.peek(0)))
		s.pos++
		if v > 0x7FFFFFFF {
			return s.badEscape(str, "UTF-8 value too large", s.pos)
		}
	}
	if s.peek(0) != '}' {
		return s.badEscape(str, "missing '}' in \\u{xxxx}", s.pos+1)
	}
	s.pos++
	b.Write(AppendUTF8(nil, uint32(v)))
	return nil
}

// AppendUTF8 encodes as Lua does: surrogates and values up to 2^31 too.
func AppendUTF8(b []byte, v uint32) []byte {
	if v < 0x110000 && !(v >= 0xD800 && v < 0xE000) {
		return utf8.AppendRune(b, rune(v))
	}
	var tmp [6]byte
	n, first := len(tmp), uint32(0x3f)
	for {
		n--
		tmp[n] = 0x80 | byte(v&0x3f)
		v >>= 6
		first >>= 1
		if v <= first {
			break
		}
	}
	n--
	tmp[n] = byte(^first<<1) | byte(v)
	return append(b, tmp[n:]...)
}
