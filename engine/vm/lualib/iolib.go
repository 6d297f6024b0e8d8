// io.*: files read whole, while the configuration is being loaded.

package lualib

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/source"
)

var ioLib = []entry{{"lines", ioLines}, {"open", ioOpen}, {"type", ioType}}

var fileMethods = []entry{{"close", fileClose}, {"lines", fileLines}, {"read", fileRead}, {"seek", fileSeek}}

// file is a file that has been read: nothing of it stays open.
type file struct {
	data   string
	pos    int
	closed bool
}

// newFile pushes f as a value.
func (h *Host) newFile(L *lua.LState, f *file) {
	L.Push(&lua.LUserData{Value: f, Env: L.Env, Metatable: h.fileMetatable()})
}

// fileMetatable is made when the first file is opened.
func (h *Host) fileMetatable() *lua.LTable {
	if h.fileMeta == nil {
		methods := h.L.CreateTable(0, 8)
		for _, m := range fileMethods {
			methods.RawSetString(m.name, h.fn("file:"+m.name, m.fn))
		}
		h.fileMeta = h.L.CreateTable(0, 4)
		h.fileMeta.RawSetString("__index", methods)
		h.fileMeta.RawSetString("__close", h.fn("file:close", fileCloseAny))
		h.fileMeta.RawSetString("__name", lua.LString("FILE*"))
		h.fileMeta.RawSetString("__metatable", lua.LFalse)
		h.fileMeta.RawSetString("__tostring", h.fn("tostring", func(h *Host, L *lua.LState) int {
			if h.file(L, 1).closed {
				L.Push(lua.LString("file (closed)"))
			} else {
				L.Push(lua.LString("file"))
			}
			return 1
		}))
	}
	return h.fileMeta
}

func (h *Host) file(L *lua.LState, n int) *file {
	if ud, ok := L.Get(n).(*lua.LUserData); ok {
		if f, ok := ud.Value.(*file); ok {
			return f
		}
	}
	h.typeError(L, n, "FILE*")
	return nil
}

func (h *Host) openFile(L *lua.LState, n int) *file {
	f := h.file(L, n)
	if f.closed {
		h.raise(L, "attempt to use a closed file")
	}
	return f
}

// reason is why a file could not be read, without its name.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	s := err.Error()
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func errno(err error) int {
	var no syscall.Errno
	if errors.As(err, &no) {
		return int(no)
	}
	return 0
}

func ioOpen(h *Host, L *lua.LState) int {
	path, mode := h.str(L, 1), h.optStr(L, 2, "r")
	h.mayRead(L, "io.open '"+path+"'")
	if mode != "r" && mode != "rb" {
		h.raise(L, "io.open '%s': mode '%s' is not allowed: files can only be read", path, mode)
	}
	data, err := h.opts.ReadFile(path)
	if err != nil {
		L.Push(lua.LNil)
		L.Push(lua.LString(path + ": " + reason(err)))
		L.Push(lua.LNumber(errno(err)))
		return 3
	}
	h.chargeBytes(L, len(data))
	h.newFile(L, &file{data: string(data)})
	return 1
}

func ioLines(h *Host, L *lua.LState) int {
	path := h.str(L, 1)
	h.mayRead(L, "io.lines '"+path+"'")
	data, err := h.opts.ReadFile(path)
	if err != nil {
		h.raise(L, "%s: %s", path, reason(err))
	}
	h.chargeBytes(L, len(data))
	return h.lines(L, &file{data: string(data)}, 2)
}

func ioType(h *Host, L *lua.LState) int {
	h.any(L, 1)
	if ud, ok := L.Get(1).(*lua.LUserData); ok {
		if f, ok := ud.Value.(*file); ok {
			if f.closed {
				L.Push(lua.LString("closed file"))
			} else {
				L.Push(lua.LString("file"))
			}
			return 1
		}
	}
	L.Push(lua.LNil)
	return 1
}

func fileClose(h *Host, L *lua.LState) int {
	f := h.openFile(L, 1)
	f.closed, f.data = true, ""
	L.Push(lua.LTrue)
	return 1
}

// fileCloseAny is __close: the file may have been closed.
func fileCloseAny(h *Host, L *lua.LState) int {
	f := h.file(L, 1)
	f.closed, f.data = true, ""
	return 0
}

func fileRead(h *Host, L *lua.LState) int {
	f := h.openFile(L, 1)
	formats := make([]lua.LValue, 0, 4)
	for i := 2; i <= L.GetTop(); i++ {
		formats = append(formats, L.Get(i))
	}
	return h.read(L, f, formats, 2)
}

func fileLines(h *Host, L *lua.LState) int {
	return h.lines(L, h.openFile(L, 1), 2)
}

// lines pushes an iterator over f; the formats are L's arguments from first on.
func (h *Host) lines(L *lua.LState, f *file, first int) int {
	var formats []lua.LValue
	for i := first; i <= L.GetTop(); i++ {
		formats = append(formats, L.Get(i))
	}
	L.Push(L.NewFunction(h.Guard("io.lines", func(L *lua.LState) int {
		if f.closed {
			h.raise(L, "file is already closed")
		}
		return h.read(L, f, formats, first)
	})))
	return 1
}

// read pushes what each format reads, up to the first that finds nothing, which gives nil. arg is the first format's argument
// number.
func (h *Host) read(L *lua.LState, f *file, formats []lua.LValue, arg int) int {
	if len(formats) == 0 {
		formats = append(formats, lua.LString("l"))
	}
	for i, format := range formats {
		v, ok := lua.LValue(lua.LNil), false
		if n, isNumber := format.(lua.LNumber); isNumber {
			v, ok = f.bytes(int(n))
		} else {
			s, _ := format.(lua.LString)
			switch strings.TrimPrefix(string(s), "*") {
			case "l":
				v, ok = f.line(false)
			case "L":
				v, ok = f.line(true)
			case "a":
				v, ok = f.bytes(len(f.data))
				if !ok {
					v, ok = lua.LString(""), true
				}
			case "n":
				v, ok = f.number()
			default:
				h.argError(L, arg+i, "invalid format")
			}
		}
		if !ok {
			L.Push(lua.LNil)
			return i + 1
		}
		L.Push(v)
		h.Charge(L, 1)
	}
	return len(formats)
}

func (f *file) rest() string { return f.data[f.pos:] }

func (f *file) bytes(n int) (lua.LValue, bool) {
	if f.pos >= len(f.data) {
		return nil, false
	}
	s := f.rest()
	s = s[:min(max(n, 0), len(s))]
	f.pos += len(s)
	return lua.LString(s), true
}

func (f *file) line(keepEnd bool) (lua.LValue, bool) {
	if f.pos >= len(f.data) {
		return nil, false
	}
	line, _, found := strings.Cut(f.rest(), "\n")
	f.pos += len(line)
	if found {
		f.pos++
		if keepEnd {
			line += "\n"
		}
	}
	return lua.LString(line), true
}

// number reads the longest numeral that stands here.
func (f *file) number() (lua.LValue, bool) {
	s := strings.TrimLeft(f.rest(), space)
	f.pos = len(f.data) - len(s)
	n := 0
	for n < len(s) && n < 200 && strings.IndexByte("+-.0123456789abcdefABCDEFxXpP", s[n]) >= 0 {
		n++
	}
	f.pos += n
	sign := 1.0
	text := s[:n]
	if strings.HasPrefix(text, "-") {
		sign, text = -1, text[1:]
	}
	v, ok := source.ParseNumber(strings.TrimPrefix(text, "+"))
	if text == "" || !ok {
		return nil, false
	}
	return lua.LNumber(sign * v), true
}

func fileSeek(h *Host, L *lua.LState) int {
	f := h.openFile(L, 1)
	offset := h.optInt(L, 3, 0)
	switch whence := h.optStr(L, 2, "cur"); whence {
	case "set":
	case "cur":
		offset += f.pos
	case "end":
		offset += len(f.data)
	default:
		h.argError(L, 2, "invalid option '"+whence+"'")
	}
	if offset < 0 {
		L.Push(lua.LNil)
		L.Push(lua.LString("Invalid argument"))
		L.Push(lua.LNumber(syscall.EINVAL))
		return 3
	}
	f.pos = min(offset, len(f.data))
	L.Push(lua.LNumber(f.pos))
	return 1
}
