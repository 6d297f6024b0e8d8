// The response parser: a backend's byte stream cut into answers.

package mc

import (
	"bytes"
	"errors"
)

// Why a backend's stream cannot be followed any more: the connection must be closed.
var (
	ErrAnswer     = errors.New("answer is not memcached protocol")
	ErrMissingEnd = errors.New("answer to a get has no END")
	ErrTooBig     = errors.New("answer is too large")
	// ErrTrailing is for the reader of a connection: bytes came although every request has its answer.
	ErrTrailing = errors.New("answer has trailing data")
)

const (
	maxAnswerLine  = 4096    // memcached's own longest line is 2048
	maxAnswerValue = 1 << 30 // as in memcached's proxy
	endLine        = "END\r\n"
)

// ParseResponse parses one whole answer at the start of buf. ErrMore like Parser.Next. Other errors mean that the
// stream cannot be followed any more. A STAT line is such an error: it has no place among answers to requests by key. So is a line that ends in a
// bare \n: clients are given answers as they came, and look for \r\n.
func ParseResponse(buf []byte, r *Response) (n, need int, err error) {
	return parseAnswer(buf, r, endLine)
}

// ParsePart is ParseResponse for a part of the answer to a get of several keys: a value without the END that follows the last, or that END.
func ParsePart(buf []byte, r *Response) (n, need int, err error) {
	return parseAnswer(buf, r, "")
}

// parseAnswer parses an answer; end follows the value of a VALUE line.
func parseAnswer(buf []byte, r *Response, end string) (n, need int, err error) {
	eol := bytes.IndexByte(buf[:min(len(buf), maxAnswerLine)], '\n')
	if eol < 0 {
		if len(buf) >= maxAnswerLine {
			return 0, 0, ErrAnswer
		}
		return 0, 0, ErrMore
	}
	if eol < 2 || buf[eol-1] != '\r' {
		return 0, 0, ErrAnswer
	}
	line := buf[:eol-1]
	*r = Response{}
	n = eol + 1
	switch {
	case line[0] >= '0' && line[0] <= '9':
		r.number(line)
	case len(line) == 2 || len(line) > 2 && line[2] == ' ':
		vlen := r.meta(line)
		if vlen >= 0 {
			return r.data(buf, n, vlen, "")
		}
	case hasPrefix(line, "VALUE "):
		vlen := r.valueLine(line)
		if vlen >= 0 {
			return r.data(buf, n, vlen, end)
		}
	default:
		r.word(line)
	}
	if r.Code == CodeNone {
		return 0, 0, ErrAnswer
	}
	r.Raw = buf[:n:n]
	return n, 0, nil
}

// data takes the data block of vlen bytes after the line of n bytes, its CRLF and the tail that must follow it.
func (r *Response) data(buf []byte, n, vlen int, tail string) (int, int, error) {
	if vlen > maxAnswerValue {
		return 0, 0, ErrTooBig
	}
	end := n + vlen
	all := end + 2 + len(tail)
	if len(buf) < all {
		return 0, all, ErrMore
	}
	if buf[end] != '\r' || buf[end+1] != '\n' {
		return 0, 0, ErrAnswer
	}
	if string(buf[end+2:all]) != tail {
		return 0, 0, ErrMissingEnd
	}
	r.value = span{int32(n), int32(end)}
	r.Raw = buf[:all:all]
	return all, 0, nil
}

func (r *Response) number(line []byte) {
	digits := 0
	for digits < len(line) && line[digits]-'0' <= 9 {
		digits++
	}
	// A decremented value keeps its old length, filled up with spaces, in some servers.
	if len(bytes.TrimRight(line[digits:], " ")) == 0 {
		r.Code, r.Type = CodeOK, TypeNumeric
	}
}

// meta reads a line of a two-letter code and flags; it returns the length of VA's value or -1.
func (r *Response) meta(line []byte) (vlen int) {
	r.Type = TypeMeta
	rest := 2
	vlen = -1
	switch string(line[:2]) {
	case "HD", "ME":
		r.Code = CodeOK
	case "EN":
		r.Code = CodeEnd
	case "NF":
		r.Code = CodeNotFound
	case "NS":
		r.Code = CodeNotStored
	case "EX":
		r.Code = CodeExists
	case "MN":
		r.Code = CodeNop
	case "OK":
		r.Code, r.Type = CodeOK, TypeGeneric
	case "VA":
		n, end := sizeAt(line, 2)
		if end < 0 {
			return -1
		}
		r.Code, vlen, rest = CodeOK, n, end
	default:
		return -1
	}
	for rest < len(line) && line[rest] == ' ' {
		rest++
	}
	r.line = span{int32(rest), int32(len(line))}
	return vlen
}

// valueLine reads "VALUE <key> <flags> <bytes> [<cas>]" and returns the length, or -1.
func (r *Response) valueLine(line []byte) (vlen int) {
	const key = len("VALUE ")
	sp := bytes.IndexByte(line[key:], ' ')
	if sp <= 0 {
		return -1
	}
	keyEnd := key + sp
	_, end := sizeAt(line, keyEnd)
	if end < 0 {
		return -1
	}
	vlen, end = sizeAt(line, end)
	if end < 0 {
		return -1
	}
	if end < len(line) {
		if tail := bytes.Trim(line[end:], " "); len(tail) > 0 && !isUint64(tail) {
			return -1
		}
	}
	r.Code, r.Type = CodeOK, TypeGet
	r.line = span{int32(key), int32(keyEnd)}
	return vlen
}

// sizeAt reads a space and a number at i and returns the number and where it ends, or -1 for end if there is none.
func sizeAt(line []byte, i int) (n, end int) {
	start := i
	for i < len(line) && line[i] == ' ' {
		i++
	}
	digits := i
	for i < len(line) && line[i]-'0' <= 9 {
		if n = n*10 + int(line[i]-'0'); i-digits > 19 {
			return 0, -1
		}
		i++
	}
	if start == digits || digits == i || i < len(line) && line[i] != ' ' || n < 0 {
		return 0, -1
	}
	return n, i
}

// word reads the answers that are one word, and errors.
func (r *Response) word(line []byte) {
	r.Type = TypeGeneric
	switch string(line) {
	case "END":
		r.Code, r.Type = CodeEnd, TypeEnd
	case "STORED":
		r.Code = CodeStored
	case "NOT_STORED":
		r.Code = CodeNotStored
	case "EXISTS":
		r.Code = CodeExists
	case "NOT_FOUND":
		r.Code = CodeNotFound
	case "DELETED":
		r.Code = CodeDeleted
	case "TOUCHED":
		r.Code = CodeTouched
	default:
		r.Type = TypeErrMsg
		switch {
		case hasPrefix(line, "SERVER_ERROR"):
			r.Code = CodeServerError
		case hasPrefix(line, "CLIENT_ERROR"):
			r.Code = CodeClientError
		case string(line) == "ERROR" || hasPrefix(line, "ERROR "):
			r.Code = CodeError
		case hasPrefix(line, "VERSION "):
			r.Code, r.Type = CodeVersion, TypeVersion
		}
	}
}

func hasPrefix(line []byte, p string) bool { return len(line) >= len(p) && string(line[:len(p)]) == p }
