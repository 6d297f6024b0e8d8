// One command of a client, parsed: its tokens, keys and flags.

package mc

import (
	"bytes"
	"encoding/base64"
	"errors"
)

// MaxTokens is how many tokens of a line are kept, as in memcached's proxy. Keys beyond it are found by NextKey.
const MaxTokens = 23

// MaxKey is the longest key in bytes, as written (that is, before base64 is decoded).
const MaxKey = 250

// Request is one command of a client, parsed. Its slices point into the buffer it was parsed from and are
// valid as long as that buffer is; a Request is reused by parsing into it again, and copied by assignment.
type Request struct {
	Cmd     Cmd
	Line    []byte // the command line without its line end
	Value   []byte // the data block with its CRLF; nil for commands that have none
	Key     []byte // the (first) key as written, inside Line; empty for commands without one
	NoReply bool   // text: "noreply" was given
	Quiet   bool   // meta: the q flag was given
	Base64  bool   // meta: the b flag was given, Key is encoded
	Bad     Bad    // not BadNone: the request could not be parsed; see AnswerBad
	Client  int32  // who asks, for lines that tell of it: a number of the caller's, which the parser leaves alone

	ntok  uint8
	odd   bool   // a line with a zero byte, or a set whose flags, exptime or cas is no number: see CheckWire
	long  bool   // a set, incr, delete ... with more tokens than it has a use for: see AppendWire
	flags uint64 // meta: bit c-'A' for each flag c
	nkeys int32
	tok   [MaxTokens]span // tokens of Line; tok[0] is the command
}

// span is a range of bytes in Request.Line.
type span struct{ from, to int32 }

// ErrKeyEncoding: a key with the b flag is not base64.
var ErrKeyEncoding = errors.New("mc: key is not base64")

// NToken counts tokens, the command included; at most MaxTokens.
func (r *Request) NToken() int { return int(r.ntok) }

// Token gives the i-th token, 0-based (0 is the command, 1 mostly the key), or nil.
func (r *Request) Token(i int) []byte {
	if i < 0 || i >= int(r.ntok) {
		return nil
	}
	return r.at(i)
}

func (r *Request) at(i int) []byte {
	s := r.tok[i]
	return r.Line[s.from:s.to:s.to]
}

// Flag returns a meta flag's token (without the letter) and whether it is there. A text command has no flags.
func (r *Request) Flag(f byte) (tok []byte, ok bool) {
	i := r.flagIndex(f)
	if i < 0 {
		return nil, false
	}
	return r.at(i)[1:], true
}

// HasFlag reports whether a meta flag is there.
func (r *Request) HasFlag(f byte) bool { return isFlag(f) && r.flags&flagBit(f) != 0 }

// FlagStart is the index of the first token that is a flag: 2, for ms 3. It is NToken when there is none.
func (r *Request) FlagStart() int {
	n := 2
	if r.Cmd == CmdMS {
		n = 3
	}
	return min(n, int(r.ntok))
}

// flagIndex is the token of flag f, or -1.
func (r *Request) flagIndex(f byte) int {
	if !r.HasFlag(f) {
		return -1
	}
	for i := r.FlagStart(); i < int(r.ntok); i++ {
		if r.Line[r.tok[i].from] == f {
			return i
		}
	}
	return -1
}

// isFlag: the bytes that flagBit has a bit for: letters, and the six signs between Z and a.
func isFlag(f byte) bool { return f >= 'A' && f <= 'z' }

func flagBit(f byte) uint64 { return 1 << (f - 'A') }

// NKeys counts the keys of a get, gets, gat or gats (any number of keys, not limited by MaxTokens); 1 for other key
// commands, else 0.
func (r *Request) NKeys() int { return int(r.nkeys) }

// NextKey walks the keys of a multiget without allocating: pos is 0 at first, then what the last call gave.
func (r *Request) NextKey(pos int) (key []byte, next int, ok bool) {
	if pos == 0 {
		if r.nkeys == 0 {
			return nil, 0, false
		}
		return r.Key, r.keyEnd(), true
	}
	if !r.Cmd.IsGet() || pos < 0 {
		return nil, pos, false
	}
	for pos < len(r.Line) && r.Line[pos] == ' ' {
		pos++
	}
	if pos >= len(r.Line) {
		return nil, pos, false
	}
	end := bytes.IndexByte(r.Line[pos:], ' ')
	if end < 0 {
		end = len(r.Line)
	} else {
		end += pos
	}
	return r.Line[pos:end:end], end, true
}

// Window makes sub the multiget of the keys of r behind pos (0: all), of n at most, for who serves one of very many in pieces. It shares
// r's bytes. more: there are keys behind next.
func (r *Request) Window(pos, n int, sub *Request) (next int, more bool) {
	key, end, ok := r.NextKey(pos)
	if !ok {
		return pos, false
	}
	kt := int(r.Cmd.info().key)
	*sub = *r
	sub.Key, sub.tok[kt], sub.ntok, sub.nkeys = key, span{int32(end - len(key)), int32(end)}, uint8(kt+1), 1
	for next = end; ; next = end {
		if _, end, more = r.NextKey(next); !more || int(sub.nkeys) >= n {
			break
		}
		sub.nkeys++
	}
	sub.Line = r.Line[:next:next]
	return next, more
}

// keyEnd is where the first key ends in Line.
func (r *Request) keyEnd() int { return int(r.tok[r.Cmd.info().key].to) }

// maxPrefix is the longest text before the first of several keys on a route, as in memcached's proxy.
const maxPrefix = 20

// SubGet makes sub the one-key request for key of the multiget r ("get K", "gat T K"); its line is appended to
// buf, which is returned and must stay as long as sub is in use. A key over 250 bytes sets sub.Bad to BadKeyLong.
func SubGet(buf []byte, r *Request, key []byte, sub *Request) []byte {
	kt := int(r.Cmd.info().key)
	from := r.tok[kt].from
	at := len(buf)
	buf = append(buf, r.Line[:from]...)
	buf = append(buf, key...)
	sub.reset(r.Cmd)
	sub.Line = buf[at:len(buf):len(buf)]
	copy(sub.tok[:kt], r.tok[:kt])
	sub.tok[kt] = span{from, int32(len(sub.Line))}
	sub.ntok = uint8(kt + 1)
	sub.nkeys = 1
	sub.Key = sub.at(kt)
	if len(key) > MaxKey {
		sub.Bad = BadKeyLong
	}
	sub.odd = hasZero(sub.Line)
	return buf
}

// PureRead: may this request be hedged, coalesced, spread or answered from a near copy? get, and mg without c N R T E.
func (r *Request) PureRead() bool {
	const impure = 1<<('c'-'A') | 1<<('N'-'A') | 1<<('R'-'A') | 1<<('T'-'A') | 1<<('E'-'A')
	return r.Cmd == CmdGet || r.Cmd == CmdMG && r.flags&impure == 0
}

// DecodeKey appends the key's bytes to dst: as written, or decoded where the b flag says base64. Nothing is
// allocated when dst has room for MaxKey bytes.
func (r *Request) DecodeKey(dst []byte) ([]byte, error) {
	if !r.Base64 {
		return append(dst, r.Key...), nil
	}
	// Go's decoder skips line ends inside; memcached's does not.
	if bytes.IndexByte(r.Key, '\r') >= 0 || bytes.IndexByte(r.Key, '\n') >= 0 {
		return dst, ErrKeyEncoding
	}
	out, err := base64.StdEncoding.AppendDecode(dst, r.Key)
	if err != nil || len(out) == len(dst) {
		return dst, ErrKeyEncoding
	}
	return out, nil
}

// reset blanks everything but the tokens' places.
func (r *Request) reset(c Cmd) {
	r.Cmd = c
	r.Line, r.Value, r.Key = nil, nil, nil
	r.NoReply, r.Quiet, r.Base64, r.Bad = false, false, false, BadNone
	r.ntok, r.odd, r.long, r.flags, r.nkeys = 0, false, false, 0, 0
}
