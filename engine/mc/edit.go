// Requests that scripts build and edit. Every edit renders a whole new line at the end of a buffer of the caller's
// and parses that, so a Request is never half changed: on failure it is what it was before.

package mc

import (
	"bytes"
	"errors"
	"fmt"
)

// MaxRequest is the longest line, with CRLF, that a script may build, as in memcached's proxy.
const MaxRequest = 500

// What scripts are told. The texts are memcached's.
var (
	ErrEdited     = errors.New("token(): request malformed after edit")
	ErrLtrimKey   = errors.New("ltrimkey cannot zero out key")
	ErrRtrimKey   = errors.New("rtrimkey cannot zero out key")
	ErrReqTooLong = errors.New("request length too long")
	ErrReqEnd     = errors.New("request must end with \r\n")
	ErrReqParse   = errors.New("failed to parse request")
	ErrValueEnd   = errors.New(`value passed to mcp.request must end with \r\n`)

	// Not memcached's, which sends such a request and loses its place in the answers.
	ErrValueLength = errors.New("value passed to mcp.request has not the length that its line says")
	ErrControl     = errors.New("request has a control byte")
)

// NewRequest makes r the request of line, which ends in CRLF, and value, which ends in CRLF or is nil (mcp.request).
// r's slices point into both.
func NewRequest(r *Request, line, value []byte) error {
	switch {
	case value != nil && !bytes.HasSuffix(value, crlf):
		return ErrValueEnd
	case len(line) > MaxRequest:
		return ErrReqTooLong
	case !bytes.HasSuffix(line, crlf):
		return ErrReqEnd
	}
	text := line[: len(line)-2 : len(line)-2]
	if hasControl(text) {
		return ErrControl
	}
	var n Request
	vlen := n.parseLine(text, min(len(line), maxRouted-1), true)
	if n.Bad != BadNone || n.nkeys > 1 {
		return ErrReqParse
	}
	if vlen < 0 && value != nil || vlen >= 0 && len(value) != vlen+2 {
		return fmt.Errorf("%w: value has %d bytes, line is %q", ErrValueLength, max(0, len(value)-2), text)
	}
	n.Value = value
	*r = n
	return nil
}

var crlf = []byte("\r\n")

// hasControl: a byte that no line may hold; the space is what separates tokens.
func hasControl(line []byte) bool {
	for _, c := range line {
		if c < ' ' || c == 0x7f {
			return true
		}
	}
	return false
}

// badToken: a byte that no token may hold.
func badToken(tok []byte) bool { return bytes.IndexByte(tok, ' ') >= 0 || hasControl(tok) }

// SetToken replaces token i (0 is the command); an empty tok removes it and a space. A token that is not there is
// left so.
func (r *Request) SetToken(buf []byte, i int, tok []byte) ([]byte, error) {
	if i < 0 || i >= int(r.ntok) {
		return buf, nil
	}
	out, ok := r.render(buf, i, 0, tok)
	if !ok {
		return buf, ErrEdited
	}
	return out, nil
}

// TrimKeyLeft overwrites the first n bytes of the key with spaces (r:ltrimkey): the line keeps its length.
func (r *Request) TrimKeyLeft(buf []byte, n int) ([]byte, error) {
	return r.trimKey(buf, n, true, ErrLtrimKey)
}

// TrimKeyRight overwrites the last n bytes of the key with spaces (r:rtrimkey).
func (r *Request) TrimKeyRight(buf []byte, n int) ([]byte, error) {
	return r.trimKey(buf, n, false, ErrRtrimKey)
}

func (r *Request) trimKey(buf []byte, n int, left bool, fail error) ([]byte, error) {
	if n < 0 || n >= len(r.Key) {
		return buf, fail
	}
	if n == 0 {
		return buf, nil
	}
	s := r.tok[r.Cmd.info().key]
	from := int(s.from)
	if !left {
		from = int(s.to) - n
	}
	at := len(buf)
	out := append(buf, r.Line...)
	for i := at + from; i < at+from+n; i++ {
		out[i] = ' '
	}
	if !r.adopt(out, at) {
		return buf, fail
	}
	return out, nil
}

// SetKey replaces the key.
func (r *Request) SetKey(buf, key []byte) ([]byte, error) {
	if !r.Cmd.HasKey() || len(key) == 0 {
		return buf, ErrEdited
	}
	return r.SetToken(buf, int(r.Cmd.info().key), key)
}

// render makes a line in which token i is flag (when not 0) and tok, or is gone when both are empty.
func (r *Request) render(buf []byte, i int, flag byte, tok []byte) ([]byte, bool) {
	if badToken(tok) || len(r.Line)+len(tok)+4 > MaxRequest {
		return buf, false
	}
	at := len(buf)
	out := append(buf, r.Line[:r.tok[i].from]...)
	if flag != 0 {
		out = append(out, flag)
	}
	out = append(out, tok...)
	if i+1 < int(r.ntok) {
		if flag != 0 || len(tok) > 0 {
			out = append(out, ' ')
		}
		out = append(out, r.Line[r.tok[i+1].from:]...)
	} else {
		for len(out) > at && out[len(out)-1] == ' ' {
			out = out[:len(out)-1]
		}
	}
	if !r.adopt(out, at) {
		return buf, false
	}
	return out, true
}

// add appends a token to the line.
func (r *Request) add(buf []byte, flag byte, tok []byte) ([]byte, bool) {
	if badToken(tok) || len(r.Line)+len(tok)+4 >= MaxRequest {
		return buf, false
	}
	at := len(buf)
	out := append(buf, r.Line...)
	out = append(out, ' ', flag)
	out = append(out, tok...)
	if !r.adopt(out, at) {
		return buf, false
	}
	return out, true
}

// adopt parses out[at:] and makes r that, with the value it has, if it is a request that may travel.
func (r *Request) adopt(out []byte, at int) bool {
	line := out[at:len(out):len(out)]
	if hasControl(line) {
		return false
	}
	var n Request
	vlen := n.parseLine(line, min(len(line)+2, maxRouted-1), true)
	if n.Bad != BadNone || n.nkeys > 1 {
		return false
	}
	if vlen < 0 && r.Value != nil || vlen >= 0 && len(r.Value) != vlen+2 {
		return false
	}
	n.Value = r.Value
	*r = n
	return true
}
