// Numbers as memcached reads them, and its expiry times.

package command

import (
	"math"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// parseU32 reads an unsigned 32-bit decimal.
func parseU32(s []byte) (uint32, bool) {
	n, ok := mc.ParseUint(s)
	return uint32(n), ok && n <= math.MaxUint32
}

// parseI32 reads a signed 32-bit decimal.
func parseI32(s []byte) (int32, bool) {
	n, ok := mc.ParseInt(s)
	return int32(n), ok && n >= math.MinInt32 && n <= math.MaxInt32
}

// scanDecimal reads a decimal the way C's strtoul family does: white space and a sign may go before it, and what follows
// it must be white space or the end, which to memcached a zero byte is, too: some clients store numbers with theirs.
func scanDecimal(s []byte) (n uint64, neg, ok bool) {
	i := 0
	for i < len(s) && isSpace(s[i]) {
		i++
	}
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		neg = s[i] == '-'
		i++
	}
	from := i
	for ; i < len(s); i++ {
		d := uint64(s[i] - '0')
		if d > 9 {
			break
		}
		if n > (math.MaxUint64-d)/10 {
			return 0, neg, false
		}
		n = n*10 + d
	}
	return n, neg, i > from && (i == len(s) || s[i] == 0 || isSpace(s[i]))
}

// looseU64 reads a stored number (incr, decr) or client flags: a sign is allowed, and refused only when the result has its
// top bit set.
func looseU64(s []byte) (uint64, bool) {
	n, neg, ok := scanDecimal(s)
	if neg {
		n = -n
	}
	if !ok || (neg && int64(n) < 0) {
		return 0, false
	}
	return n, true
}

// looseI32 reads the expiry time of a storage command; more than 32 bits are cut, as in memcached.
func looseI32(s []byte) (int32, bool) {
	n, neg, ok := scanDecimal(s)
	switch {
	case !ok || n > math.MaxInt64+1 || (!neg && n > math.MaxInt64):
		return 0, false
	case neg:
		n = -n
	}
	return int32(n), true
}

func isSpace(c byte) bool { return c == ' ' || (c >= '\t' && c <= '\r') }

const (
	maxRelative = 60 * 60 * 24 * 30 // seconds; an expiry time above it is a Unix time
	expiredLong = 1                 // Unix milliseconds: the expiry of what a client wants gone at once
)

// expiry turns a client's expiry time in seconds into Unix milliseconds: 0 stays 0 (never), a negative one is in the past,
// up to thirty days is from now, and more is a Unix time.
func expiry(now int64, seconds int32) int64 {
	switch {
	case seconds == 0:
		return 0
	case seconds < 0:
		return expiredLong
	case seconds <= maxRelative:
		return now + int64(seconds)*1000
	}
	return int64(seconds) * 1000
}

// remaining gives the seconds until exp, rounded up; -1 when it never comes, 0 when it is past.
func remaining(now, exp int64) int64 {
	switch {
	case exp == 0:
		return -1
	case exp <= now:
		return 0
	}
	return (exp - now + 999) / 1000
}
