// The flags of the meta commands: parsing them, and reflecting key and opaque.

package command

import (
	"encoding/base64"
	"strconv"
	"sync"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

const (
	maxMetaTokens = 20 // of the whole line
	maxOpaque     = 32 // bytes of an O flag, its letter included
)

// flags are the parsed flags of one meta request. All commands share them; each uses the ones that mean something to it.
type flags struct {
	key    []byte
	binary *[mc.MaxKey]byte // holds key when it was given in base64

	mode byte

	vivify, hasTTL, recache          bool
	value, quiet, noBump, invalidate bool
	hasCAS, hasNewCAS, removeValue   bool
	opaqueTooLong                    bool

	ttl, vivifyTTL, recacheTTL int32 // seconds as the client gave them
	clientFlags                uint32
	cas, newCAS                uint64
	delta, initial             uint64
}

// binaryKeys are buffers for decoded keys.
var binaryKeys = sync.Pool{New: func() any { return new([mc.MaxKey]byte) }}

// release gives the buffer of a decoded key back. f.key is not valid afterwards.
func (f *flags) release() {
	if f.binary != nil {
		binaryKeys.Put(f.binary)
		f.binary, f.key = nil, nil
	}
}

// parse reads the flags of r, whose first one is token start. It gives the error line, or "". The caller calls release in
// any case.
func (f *flags) parse(r *mc.Request, start int) string {
	f.key = r.Key
	if len(r.Key) > mc.MaxKey {
		return errFormat
	}
	n := r.NToken()
	if n > maxMetaTokens {
		return "CLIENT_ERROR options flags are too long"
	}
	var seen [2]uint64
	failed, line := false, errFormat
	for i := start; i < n; i++ {
		t := r.Token(i)
		c := t[0]
		if c >= 127 || seen[c>>6]&(1<<(c&63)) != 0 {
			return "CLIENT_ERROR duplicate flag"
		}
		seen[c>>6] |= 1 << (c & 63)
		msg, ok := f.one(r, c, t[1:])
		if msg != "" {
			line = msg
		}
		if !ok {
			if msg == errUnknownFlag {
				return msg
			}
			failed = true
		}
	}
	if failed {
		return line
	}
	return ""
}

const errUnknownFlag = "CLIENT_ERROR invalid flag"

// one reads flag c with its token. ok false fails the request; an empty line then means the one that an earlier flag gave.
func (f *flags) one(r *mc.Request, c byte, arg []byte) (line string, ok bool) {
	line = errToken
	switch c {
	case 'b':
		if ok = f.decodeKey(r); !ok {
			line = "CLIENT_ERROR error decoding key"
		}
	case 'N':
		f.vivify = true
		f.vivifyTTL, ok = parseI32(arg)
	case 'T':
		f.hasTTL = true
		f.ttl, ok = parseI32(arg)
	case 'R':
		f.recache = true
		f.recacheTTL, ok = parseI32(arg)
	case 'C':
		f.hasCAS = true
		f.cas, ok = mc.ParseUint(arg)
	case 'E':
		f.hasNewCAS = true
		f.newCAS, ok = mc.ParseUint(arg)
	case 'F':
		line = ""
		f.clientFlags, ok = parseU32(arg)
	case 'J':
		line = "CLIENT_ERROR invalid numeric initial value"
		f.initial, ok = mc.ParseUint(arg)
	case 'D':
		line = "CLIENT_ERROR invalid numeric delta value"
		f.delta, ok = mc.ParseUint(arg)
	case 'M':
		ok = true
		if f.mode = ' '; len(arg) > 0 { // a bare M is a wrong mode, not none
			f.mode = arg[0]
		}
	case 'O':
		ok = true
		f.opaqueTooLong = 1+len(arg) > maxOpaque
	default:
		return f.plain(c)
	}
	if ok {
		line = ""
	}
	return line, ok
}

// plain reads a flag that takes no token, or one that is ignored.
func (f *flags) plain(c byte) (string, bool) {
	switch c {
	case 'v':
		f.value = true
	case 'q':
		f.quiet = true
	case 'u':
		f.noBump = true
	case 'x':
		f.removeValue = true
	case 'I':
		f.invalidate = true
	case 'P', 'L', 'k', 's', 't', 'c', 'f', 'h', 'l':
	default:
		return errUnknownFlag, false
	}
	return "", true
}

// decodeKey makes f.key the bytes that r's base64 key stands for.
func (f *flags) decodeKey(r *mc.Request) bool {
	if f.binary == nil {
		f.binary = binaryKeys.Get().(*[mc.MaxKey]byte)
	}
	key, err := r.DecodeKey(f.binary[:0])
	f.key = key
	return err == nil
}

// binaryKey reports whether the key was given in base64.
func (f *flags) binaryKey() bool { return f.binary != nil }

// keyBits gives the bits of an item made by this request.
func (f *flags) keyBits() uint8 {
	if f.binaryKey() {
		return BitBinaryKey
	}
	return 0
}

// appendKey appends a k flag: the key, in base64 with a b flag after it when binary is set.
func appendKey(dst, key []byte, binary bool) []byte {
	dst = append(dst, ' ', 'k')
	if !binary {
		return append(dst, key...)
	}
	dst = base64.StdEncoding.AppendEncode(dst, key)
	return append(dst, ' ', 'b')
}

// appendReflected appends the flags of r that are given back whatever happened: O and k.
func (f *flags) appendReflected(dst []byte, r *mc.Request) []byte {
	for i, n := 2, r.NToken(); i < n; i++ {
		switch t := r.Token(i); t[0] {
		case 'O':
			dst = append(append(dst, ' '), t...)
		case 'k':
			dst = appendKey(dst, f.key, f.binaryKey())
		}
	}
	return dst
}

// appendUintFlag appends a flag with a number.
func appendUintFlag(dst []byte, c byte, n uint64) []byte {
	return strconv.AppendUint(append(dst, ' ', c), n, 10)
}

// appendTTL appends a t flag.
func appendTTL(dst []byte, now, exp int64) []byte {
	return strconv.AppendInt(append(dst, ' ', 't'), remaining(now, exp), 10)
}
