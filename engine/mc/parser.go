// The request parser: a client's byte stream cut into requests.

package mc

import (
	"bytes"
	"errors"
)

// Rules choose the wording and limits of the parser.
type Rules struct {
	Routed   bool // a route is attached for this listener: memcached's proxy wording and limits; else memcached's own
	MaxValue int  // largest data block in bytes, without CRLF; 0 = 1 MiB
	MaxLine  int  // longest line of a get with many keys, in bytes; 0 = 1 MiB

	// Strict, where a route is attached: the commands of memcached that its proxy does not know (flush_all, verbosity, slabs and
	// their like) are words like any other that is no command.
	Strict bool
	// Login: the client has not said yet who it is. Whoever reads requests takes one at a time, for the next may have other
	// rules; and a value over MaxValue is not swallowed: a stranger is not listened to for long.
	Login bool
}

const (
	defaultMaxValue = 1 << 20
	defaultMaxLine  = 1 << 20
	maxRouted       = 500  // a routed request's line with its line end must be shorter, as in memcached's proxy
	maxLineRouted   = 1024 // a line that is no get is never longer: the client has lost its way
	maxLineCore     = 2048
	binaryMagic     = 0x80
	binaryHeader    = 24
)

// ErrMore: the buffer does not yet hold a whole request (or answer).
var ErrMore = errors.New("mc: need more bytes")

// Parser cuts a client's byte stream into requests. Zero value ready. It belongs to one stream: it keeps what spans
// buffers, the bytes still to swallow of a refused value and how far it has looked for a line end.
type Parser struct {
	Swallow int64 // bytes of a refused value that have not arrived yet

	scanned int // bytes at the start of the unconsumed stream that hold no line end
}

// Next parses the request at the start of buf into r. n is how many bytes of buf are done with, also with an error;
// the next call's buf begins after them. ErrMore: there is no whole request yet; need, when not 0, is how many bytes
// buf[n:] must hold in all, and r's line is parsed already (a server that refuses to wait for the value knows whom it
// refuses). A malformed request has r.Bad set and err nil: answer AnswerBad at its place in the
// order and go on unless r.Bad.Closes().
func (p *Parser) Next(buf []byte, rules *Rules, r *Request) (n, need int, err error) {
	if p.Swallow > 0 {
		n = int(min(int64(len(buf)), p.Swallow))
		p.Swallow -= int64(n)
		buf = buf[n:]
	}
	if len(buf) == 0 {
		return n, 0, ErrMore
	}
	eol := -1
	if p.scanned < len(buf) {
		if eol = bytes.IndexByte(buf[p.scanned:], '\n'); eol >= 0 {
			eol += p.scanned
		}
	}
	p.scanned = 0
	if eol < 0 || eol >= maxLineRouted || buf[0] == binaryMagic {
		if bad := checkLong(buf, eol, rules); bad != BadNone {
			r.reset(CmdNone)
			r.Bad = bad
			r.Line = buf[:min(len(buf), binaryHeader)]
			return n + len(buf), 0, nil
		}
		if eol < 0 {
			p.scanned = len(buf)
			return n, 0, ErrMore
		}
	}
	line := buf[:eol:eol]
	if eol > 0 && line[eol-1] == '\r' {
		line = line[: eol-1 : eol-1]
	}
	vlen := r.parseLine(line, eol+1, rules.Routed)
	if vlen < 0 {
		if rules.Strict && rules.Routed && r.Cmd > CmdEndStorage && !r.Cmd.proxied() {
			r.Bad = BadUnknown
		}
		return n + eol + 1, 0, nil
	}
	took, need, err := p.value(buf[eol+1:], vlen, rules, r)
	if err != nil {
		return n, eol + 1 + need, err
	}
	return n + eol + 1 + took, 0, nil
}

// value takes the data block of vlen bytes and CRLF that begins buf, or swallows it if r is refused.
func (p *Parser) value(buf []byte, vlen int, rules *Rules, r *Request) (n, need int, err error) {
	whole := vlen + 2
	most := rules.MaxValue
	if most == 0 {
		most = defaultMaxValue
	}
	if r.Bad == BadNone && vlen > most {
		r.Bad = BadTooLarge
	}
	if r.Bad != BadNone {
		if r.Bad == BadTooLarge && rules.Login {
			return 0, 0, nil
		}
		n = min(whole, len(buf))
		p.Swallow = int64(whole - n)
		return n, 0, nil
	}
	if len(buf) < whole {
		return 0, whole, ErrMore
	}
	v := buf[:whole:whole]
	if v[vlen] != '\r' || v[vlen+1] != '\n' {
		r.Bad = BadChunk
		return whole, 0, nil
	}
	r.Value = v
	return whole, 0, nil
}

// checkLong looks at what need not have a line end to be refused: eol is its place, or -1. The outcome must not
// depend on how the bytes were cut on their way, so a long line is refused whether or not its end has come.
func checkLong(buf []byte, eol int, rules *Rules) Bad {
	if buf[0] == binaryMagic {
		return BadBinary
	}
	length := len(buf)
	if eol >= 0 {
		length = eol + 1
	}
	if isKeyList(buf) {
		most := rules.MaxLine
		if most == 0 {
			most = defaultMaxLine
		}
		if length > most {
			return BadLong
		}
		return BadNone
	}
	if rules.Routed && length > maxLineRouted || length > maxLineCore {
		return BadLine
	}
	return BadNone
}

// isKeyList: a line that may be long, because it names many keys.
func isKeyList(buf []byte) bool {
	for _, w := range [...]string{"get ", "gets ", "gat ", "gats "} {
		if len(buf) >= len(w) && string(buf[:len(w)]) == w {
			return true
		}
	}
	return false
}
