// string.pack, string.unpack, string.packsize: numbers and strings as bytes.

package lualib

import (
	"encoding/binary"
	"math"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

const (
	maxIntSize  = 16 // bytes of an integer
	nativeAlign = 8
)

// packOption is one item of a format.
type packOption struct {
	kind  byte // i u f(loat) d(ouble) c(haracters) s(tring with length) z x(padding) X(alignment), or 0: no data
	size  int
	align int // bytes of padding before it
}

// packFormat reads a format. total is how many bytes have been packed or read before the option that next gives.
type packFormat struct {
	h        *Host
	L        *lua.LState
	rest     string
	little   bool
	maxAlign int
}

func (h *Host) packFormat(L *lua.LState) *packFormat {
	f := h.str(L, 1)
	h.Charge(L, len(f))
	return &packFormat{h: h, L: L, rest: f, little: true, maxAlign: 1}
}

// digits reads a number, def if there is none.
func (f *packFormat) digits(def int) int {
	n, v := 0, 0
	for n < len(f.rest) && f.rest[n] >= '0' && f.rest[n] <= '9' && v <= (math.MaxInt32-9)/10 {
		v = v*10 + int(f.rest[n]-'0')
		n++
	}
	if n == 0 {
		return def
	}
	f.rest = f.rest[n:]
	return v
}

func (f *packFormat) intSize(def int) int {
	n := f.digits(def)
	if n < 1 || n > maxIntSize {
		f.h.raise(f.L, "integral size (%d) out of limits [1,%d]", n, maxIntSize)
	}
	return n
}

// sizes are the options of a fixed size.
var sizes = map[byte]packOption{
	'b': {kind: 'i', size: 1}, 'B': {kind: 'u', size: 1}, 'h': {kind: 'i', size: 2}, 'H': {kind: 'u', size: 2}, 'l': {kind: 'i', size: 8},
	'L': {kind: 'u', size: 8}, 'j': {kind: 'i', size: 8}, 'J': {kind: 'u', size: 8}, 'T': {kind: 'u', size: 8}, 'f': {kind: 'f', size: 4},
	'd': {kind: 'd', size: 8}, 'n': {kind: 'd', size: 8},
}

// option reads one option, without its alignment.
func (f *packFormat) option() packOption {
	c := f.rest[0]
	f.rest = f.rest[1:]
	if o, ok := sizes[c]; ok {
		return o
	}
	switch c {
	case 'i':
		return packOption{kind: 'i', size: f.intSize(4)}
	case 'I':
		return packOption{kind: 'u', size: f.intSize(4)}
	case 's':
		return packOption{kind: 's', size: f.intSize(8)}
	case 'c':
		n := f.digits(-1)
		if n < 0 {
			f.h.raise(f.L, "missing size for format option 'c'")
		}
		return packOption{kind: 'c', size: n}
	case 'z':
		return packOption{kind: 'z'}
	case 'x':
		return packOption{kind: 'x', size: 1}
	case 'X':
		return packOption{kind: 'X'}
	case ' ':
	case '<', '=':
		f.little = true
	case '>':
		f.little = false
	case '!':
		f.maxAlign = f.intSize(nativeAlign)
	default:
		f.h.raise(f.L, "invalid format option '%c'", c)
	}
	return packOption{}
}

// next gives the next option, and with it the padding that aligns it behind total bytes.
func (f *packFormat) next(total int) packOption {
	o := f.option()
	align := o.size
	switch o.kind {
	case 'X':
		if f.rest == "" {
			f.h.argError(f.L, 1, "invalid next option for option 'X'")
		}
		after := f.option()
		if align = after.size; after.kind == 'c' || align == 0 {
			f.h.argError(f.L, 1, "invalid next option for option 'X'")
		}
	case 'i', 'u', 'f', 'd', 's':
	default:
		return o
	}
	if align = min(align, f.maxAlign); align > 1 {
		if align&(align-1) != 0 {
			f.h.argError(f.L, 1, "format asks for alignment not power of 2")
		}
		o.align = (align - total&(align-1)) & (align - 1)
	}
	return o
}

func strPackSize(h *Host, L *lua.LState) int {
	f := h.packFormat(L)
	total := 0
	for f.rest != "" {
		o := f.next(total)
		if o.kind == 's' || o.kind == 'z' {
			h.argError(L, 1, "variable-length format")
		}
		if o.kind == 'X' {
			o.size = 0
		}
		if total += o.align + o.size; total > math.MaxInt32 {
			h.argError(L, 1, "format result too large")
		}
	}
	L.Push(lua.LNumber(total))
	return 1
}

func strPack(h *Host, L *lua.LState) int {
	f := h.packFormat(L)
	var b []byte
	arg := 1
	for f.rest != "" {
		o := f.next(len(b))
		h.checkSize(L, o.size)
		b = append(b, make([]byte, o.align)...)
		switch o.kind {
		case 0, 'X':
			continue
		case 'x':
			b = append(b, 0)
			continue
		}
		arg++
		switch o.kind {
		case 'i', 'u':
			b = f.putInt(b, h.packedInt(L, arg, o), o.size)
		case 'f':
			b = f.putBits(b, uint64(math.Float32bits(float32(h.num(L, arg)))), 4)
		case 'd':
			b = f.putBits(b, math.Float64bits(h.num(L, arg)), 8)
		default:
			b = f.putString(b, o, arg)
		}
		if len(b) > maxString {
			h.raise(L, "resulting string too large")
		}
	}
	L.Push(own(b))
	return 1
}

// packedInt is an argument that fits the option's size.
func (h *Host) packedInt(L *lua.LState, arg int, o packOption) int64 {
	v := int64(h.int(L, arg))
	if o.size < 8 {
		limit := int64(1) << (o.size*8 - 1)
		if o.kind == 'i' && (v < -limit || v >= limit) {
			h.argError(L, arg, "integer overflow")
		}
		if o.kind == 'u' && uint64(v) >= uint64(limit)*2 {
			h.argError(L, arg, "unsigned overflow")
		}
	}
	return v
}

func (f *packFormat) putString(b []byte, o packOption, arg int) []byte {
	h, L := f.h, f.L
	s := h.str(L, arg)
	h.checkSize(L, len(s))
	switch o.kind {
	case 'c':
		if len(s) > o.size {
			h.argError(L, arg, "string longer than given size")
		}
		return append(append(b, s...), make([]byte, o.size-len(s))...)
	case 's':
		if o.size < 8 && uint64(len(s)) >= 1<<(o.size*8) {
			h.argError(L, arg, "string length does not fit in given size")
		}
		return append(f.putInt(b, int64(len(s)), o.size), s...)
	}
	if strings.IndexByte(s, 0) >= 0 {
		h.argError(L, arg, "string contains zeros")
	}
	return append(append(b, s...), 0)
}

// putInt appends v in size bytes, its sign extended.
func (f *packFormat) putInt(b []byte, v int64, size int) []byte {
	var out [maxIntSize]byte
	for i := range size {
		at := i
		if !f.little {
			at = size - 1 - i
		}
		out[at] = byte(v)
		v >>= 8
	}
	return append(b, out[:size]...)
}

func (f *packFormat) putBits(b []byte, v uint64, size int) []byte { return f.putInt(b, int64(v), size) }

func strUnpack(h *Host, L *lua.LState) int {
	f := h.packFormat(L)
	data := h.str(L, 2)
	pos := from(h.optInt(L, 3, 1), len(data)) - 1
	if pos > len(data) {
		h.argError(L, 3, "initial position out of string")
	}
	n := 0
	for f.rest != "" {
		o := f.next(pos)
		size := o.size
		if o.kind == 'X' {
			size = 0
		}
		if o.align+size > len(data)-pos {
			h.argError(L, 2, "data string too short")
		}
		pos += o.align
		var v lua.LValue
		switch o.kind {
		case 0, 'X', 'x':
			pos += size
			continue
		case 'i', 'u':
			v = lua.LNumber(f.number(data[pos:pos+size], o.kind == 'i'))
		case 'f':
			v = lua.LNumber(math.Float32frombits(uint32(f.bits(data[pos : pos+4]))))
		case 'd':
			v = lua.LNumber(math.Float64frombits(f.bits(data[pos : pos+8])))
		case 'c':
			v = lua.LString(data[pos : pos+size])
		case 's':
			length := f.number(data[pos:pos+size], false)
			if length > float64(len(data)-pos-size) {
				h.argError(L, 2, "data string too short")
			}
			v = lua.LString(data[pos+size : pos+size+int(length)])
			size += int(length)
		case 'z':
			length := strings.IndexByte(data[pos:], 0)
			if length < 0 {
				h.argError(L, 2, "unfinished string for format 'z'")
			}
			v = lua.LString(data[pos : pos+length])
			size = length + 1
		}
		pos += size
		h.checkResults(L, n+1, "too many results")
		L.Push(v)
		n++
	}
	L.Push(lua.LNumber(pos + 1))
	return n + 1
}

// bits is an integer of at most 8 bytes.
func (f *packFormat) bits(s string) uint64 {
	var b [8]byte
	for i := range len(s) {
		if f.little {
			b[7-i] = s[i]
		} else {
			b[8-len(s)+i] = s[i]
		}
	}
	return binary.BigEndian.Uint64(b[:])
}

// number reads an integer. One that no number holds exactly is an error.
func (f *packFormat) number(s string, signed bool) float64 {
	low, high := s, ""
	if len(s) > 8 {
		if low, high = s[:8], s[8:]; !f.little {
			low, high = s[len(s)-8:], s[:len(s)-8]
		}
	}
	v := int64(f.bits(low))
	if n := len(low); signed && n < 8 {
		shift := 64 - 8*n
		v = v << shift >> shift
	}
	fill := byte(0)
	if signed && v < 0 {
		fill = 0xff
	}
	for i := range len(high) {
		if high[i] != fill {
			f.h.raise(f.L, "%d-byte integer does not fit into Lua Integer", len(s))
		}
	}
	x := float64(v)
	if x >= 1<<63 || int64(x) != v {
		f.h.raise(f.L, "%d-byte integer %d has no exact number (numbers are doubles: integers are exact to 2^53)", len(s), v)
	}
	return x
}
