// Numbers in tokens, as strict as memcached's own tokenizer: no sign but a minus, no space, no overflow.

package mc

import "math"

// valueLength is the length a storage command announces, or -1 if it is no length that memcached takes.
func valueLength(tok []byte) int {
	n, ok := parseInt32(tok)
	if !ok || n < 0 || n > math.MaxInt32-2 {
		return -1
	}
	return int(n)
}

// isCount: client flags as every memcached of 64 bits reads them.
func isCount(tok []byte) bool {
	if len(tok) == 1 {
		return tok[0]-'0' <= 9
	}
	return isUint64(unsigned(tok))
}

// isTime: an exptime as every memcached of 64 bits reads it.
func isTime(tok []byte) bool {
	if len(tok) == 1 {
		return tok[0]-'0' <= 9
	}
	if tok[0] == '-' {
		tok = tok[1:]
	} else {
		tok = unsigned(tok)
	}
	n, ok := ParseUint(tok)
	return ok && n <= math.MaxInt64
}

// unsigned is tok without a plus before it.
func unsigned(tok []byte) []byte {
	if tok[0] == '+' {
		return tok[1:]
	}
	return tok
}

func isUint64(tok []byte) bool {
	_, ok := ParseUint(tok)
	return ok
}

func parseInt32(tok []byte) (int64, bool) {
	neg := len(tok) > 0 && tok[0] == '-'
	if neg {
		tok = tok[1:]
	}
	if len(tok) == 0 || len(tok) > 11 {
		return 0, false
	}
	var n int64
	for _, c := range tok {
		d := c - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + int64(d)
	}
	if neg {
		n = -n
	}
	return n, n >= math.MinInt32 && n <= math.MaxInt32
}

// ParseUint reads a token of digits, at most 20 of them.
func ParseUint(tok []byte) (n uint64, ok bool) {
	if len(tok) == 0 || len(tok) > 20 {
		return 0, false
	}
	for _, c := range tok {
		d := uint64(c - '0')
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// ParseInt reads a token of digits with an optional minus.
func ParseInt(tok []byte) (n int64, ok bool) {
	neg := len(tok) > 0 && tok[0] == '-'
	if neg {
		tok = tok[1:]
	}
	u, ok := ParseUint(tok)
	switch {
	case !ok:
		return 0, false
	case neg && u <= 1<<63:
		return -int64(u), true
	case !neg && u <= math.MaxInt64:
		return int64(u), true
	}
	return 0, false
}
