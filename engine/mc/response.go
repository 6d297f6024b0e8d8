// One answer of a backend, parsed.

package mc

import "bytes"

// Code is an answer's code; numbers are mcp.MCMC_CODE_*.
type Code uint8

// The codes.
const (
	CodeNone        Code = 0
	CodeStored      Code = 8
	CodeExists      Code = 9 // also meta EX
	CodeDeleted     Code = 10
	CodeTouched     Code = 11
	CodeVersion     Code = 12
	CodeNotFound    Code = 13 // also meta NF
	CodeNotStored   Code = 14 // also meta NS
	CodeOK          Code = 15 // OK, a number, VALUE, meta HD VA ME
	CodeNop         Code = 16 // meta MN
	CodeEnd         Code = 17 // a miss: END, meta EN
	CodeError       Code = 21
	CodeClientError Code = 22
	CodeServerError Code = 23
)

// Type is an answer's shape; numbers are those that memcached's logs print.
type Type uint8

// The types.
const (
	TypeGet     Type = 100 // VALUE ... END
	TypeMeta    Type = 101
	TypeStat    Type = 102 // never given: stats are not routed
	TypeGeneric Type = 104 // STORED, NOT_FOUND, OK ...
	TypeEnd     Type = 105 // END alone: a miss
	TypeVersion Type = 106
	TypeNumeric Type = 107 // incr, decr
	TypeErrMsg  Type = 108 // ERROR, CLIENT_ERROR, SERVER_ERROR
	TypeFail    Type = 109 // no answer at all
)

// Response is one answer, parsed. Raw points into the buffer that was parsed (or to wherever Rebase moved it); all
// else is found relative to it. The zero Response is no answer: not OK, nothing in it.
type Response struct {
	Raw  []byte // every byte: line, value, END
	Code Code
	Type Type

	value span // without CRLF; empty and at 0 when there is none
	line  span // meta: what follows the code, or the size of a VA; text VALUE: the key
}

// OK: the backend answered with something else than SERVER_ERROR, CLIENT_ERROR or ERROR. A miss is OK.
func (r *Response) OK() bool { return r.Code != CodeNone && r.Code < CodeError }

// Hit: OK and not a miss. As in memcached's proxy only END and EN are misses: NOT_FOUND is a hit. Rank is what
// handlers go by.
func (r *Response) Hit() bool { return r.OK() && r.Code != CodeEnd }

// HasValue: the answer carries a data block, be it empty.
func (r *Response) HasValue() bool { return r.value.from > 0 }

// Value is the data block without CRLF; nil when there is none.
func (r *Response) Value() []byte {
	if !r.HasValue() {
		return nil
	}
	return r.Raw[r.value.from:r.value.to:r.value.to]
}

// ValueCRLF is the data block with its CRLF, as a storage command wants it; nil when there is none.
func (r *Response) ValueCRLF() []byte {
	if !r.HasValue() {
		return nil
	}
	return r.Raw[r.value.from : r.value.to+2 : r.value.to+2]
}

// VLen is the length of the value without CRLF; 0 without a value.
func (r *Response) VLen() int { return int(r.value.to - r.value.from) }

// Line is a meta answer's text after its code (after the size for VA); nil when empty, and for text answers.
func (r *Response) Line() []byte {
	if r.Type != TypeMeta || r.line.from == r.line.to {
		return nil
	}
	return r.Raw[r.line.from:r.line.to:r.line.to]
}

// Key is the key that the answer names: of a VALUE line, or a meta answer's k flag; nil when there is none.
func (r *Response) Key() []byte {
	switch r.Type {
	case TypeGet:
		return r.Raw[r.line.from:r.line.to:r.line.to]
	case TypeMeta:
		key, _ := r.Flag(keyFlag)
		return key
	}
	return nil
}

// Text is the first line without its line end.
func (r *Response) Text() []byte {
	end := bytes.IndexByte(r.Raw, '\n')
	if end < 0 {
		return nil
	}
	return bytes.TrimSuffix(r.Raw[:end], []byte("\r"))
}

// Flag returns a meta answer's flag token (without the letter) and whether it is there.
func (r *Response) Flag(f byte) (tok []byte, ok bool) {
	s, ok := r.findFlag(f)
	if !ok {
		return nil, false
	}
	return r.Raw[s.from+1 : s.to : s.to], true
}

// FlagBlank overwrites flag f and its token with spaces, in Raw itself, and reports whether it was there.
func (r *Response) FlagBlank(f byte) bool {
	s, ok := r.findFlag(f)
	for i := s.from; i < s.to; i++ {
		r.Raw[i] = ' '
	}
	return ok
}

// findFlag finds a flag of a meta answer. An ME line has a key and debug text there, no flags.
func (r *Response) findFlag(f byte) (span, bool) {
	if r.Type != TypeMeta || len(r.Raw) > 1 && r.Raw[0] == 'M' && r.Raw[1] == 'E' {
		return span{}, false
	}
	for i := r.line.from; i < r.line.to; {
		for i < r.line.to && r.Raw[i] == ' ' {
			i++
		}
		from := i
		for i < r.line.to && r.Raw[i] != ' ' {
			i++
		}
		if from < i && r.Raw[from] == f {
			return span{from, i}, true
		}
	}
	return span{}, false
}

// WithoutEnd is Raw less the END of a get's answer: what goes into the answer of a multiget, whose END comes once.
func (r *Response) WithoutEnd() []byte {
	switch r.Type {
	case TypeGet:
		return r.Raw[:len(r.Raw)-len(endLine)]
	case TypeEnd:
		return r.Raw[:0]
	}
	return r.Raw
}

// Rebase points r at raw, an equal copy of the bytes it was parsed from.
func (r *Response) Rebase(raw []byte) { r.Raw = raw }

// AppendRekeyed appends the answer with q's key in place of the key that it names (VALUE line or k flag, with b behind it where it is base64); an
// answer that names none is appended as it is. For routes that change the key on the way to the backend.
func AppendRekeyed(dst []byte, r *Response, q *Request) []byte {
	s := r.line
	if r.Type == TypeGet {
		dst = append(append(dst, r.Raw[:s.from]...), q.Key...)
		return append(dst, r.Raw[s.to:]...)
	}
	s, ok := r.findFlag(keyFlag)
	if !ok {
		return append(dst, r.Raw...)
	}
	dst = append(append(dst, r.Raw[:s.from+1]...), q.Key...)
	if q.Base64 {
		dst = append(dst, " b"...)
	}
	rest := r.Raw[s.to:]
	if len(rest) > 2 && string(rest[:2]) == " b" && (rest[2] == ' ' || rest[2] == '\r') { // whoever wrote the item may have written its key otherwise
		rest = rest[2:]
	}
	return append(dst, rest...)
}
