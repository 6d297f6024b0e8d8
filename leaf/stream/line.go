// Lines: an item as it travels.

package stream

import (
	"encoding/base64"
	"strconv"

	"github.com/tidepool-proxy/tidepool/leaf/store"
)

const (
	moreBase = 36
	// relativeMost is the longest time in seconds that memcached takes for one from now on; beyond, it is a Unix time.
	relativeMost = 30 * 24 * 60 * 60
)

// AppendKey appends the HD line of an item; now is Unix milliseconds. What has expired by then is left out.
func AppendKey(dst []byte, l *store.Listed, now int64) []byte {
	if gone(l, now) {
		return dst
	}
	dst = append(dst, "HD k"...)
	dst, coded := appendName(dst, l.Key)
	dst = strconv.AppendInt(append(dst, " s"...), int64(l.Size), 10)
	ttl := int64(-1)
	if l.Exp != 0 {
		ttl = seconds(l.Exp - now)
	}
	dst = strconv.AppendInt(append(dst, " t"...), ttl, 10)
	dst = strconv.AppendUint(append(dst, " c"...), l.CAS, 10)
	dst = strconv.AppendUint(append(dst, " f"...), uint64(l.Flags), 10)
	dst = appendMore(dst, l, now)
	if coded {
		dst = append(dst, " b"...)
	}
	if l.Bits&store.BitStale != 0 {
		dst = append(dst, " X"...)
	}
	if l.Bits&store.BitWon != 0 {
		dst = append(dst, " Z"...)
	}
	return append(dst, "\r\n"...)
}

// AppendItem appends the ms line of an item, its value and CRLF.
func AppendItem(dst []byte, l *store.Listed, now int64) []byte {
	if gone(l, now) {
		return dst
	}
	dst = append(dst, "ms "...)
	dst, coded := appendName(dst, l.Key)
	dst = strconv.AppendInt(append(dst, ' '), int64(len(l.Value)), 10)
	ttl := int64(0)
	if l.Exp != 0 {
		if ttl = seconds(l.Exp - now); ttl > relativeMost {
			ttl = seconds(l.Exp)
		}
	}
	dst = strconv.AppendInt(append(dst, " T"...), ttl, 10)
	dst = strconv.AppendUint(append(dst, " E"...), l.CAS, 10)
	dst = strconv.AppendUint(append(dst, " F"...), uint64(l.Flags), 10)
	dst = appendMore(dst, l, now)
	if coded {
		dst = append(dst, " b"...)
	}
	dst = append(dst, "\r\n"...)
	return append(append(dst, l.Value...), "\r\n"...)
}

// gone: it has expired, or has a key that no line could hold.
func gone(l *store.Listed, now int64) bool { return l.Exp != 0 && l.Exp <= now || len(l.Key) == 0 }

// seconds of so many milliseconds: a line never says that an item lives shorter than it does.
func seconds(ms int64) int64 { return (ms + 999) / 1000 }

// appendName appends a key as commands write it: in base64 if it has bytes that no line may have.
func appendName(dst, key []byte) (_ []byte, coded bool) {
	for _, c := range key {
		if c <= ' ' || c == 0x7f {
			return base64.StdEncoding.AppendEncode(dst, key), true
		}
	}
	return append(dst, key...), false
}

func appendMore(dst []byte, l *store.Listed, now int64) []byte {
	left := int64(0)
	if l.Exp != 0 {
		left = l.Exp - now
	}
	dst = strconv.AppendInt(append(dst, " O"...), int64(l.Bits), moreBase)
	dst = strconv.AppendInt(append(dst, '.'), int64(l.Heat), moreBase)
	dst = strconv.AppendInt(append(dst, '.'), max(0, now-l.Access), moreBase)
	return strconv.AppendInt(append(dst, '.'), left, moreBase)
}

// AppendAnswer appends an item as the answer to an mg that asks for all of it: VA, f c t and O, and the value. EN if it has expired.
func AppendAnswer(dst []byte, l *store.Listed, now int64) []byte {
	if gone(l, now) {
		return append(dst, "EN\r\n"...)
	}
	dst = strconv.AppendInt(append(dst, "VA "...), int64(len(l.Value)), 10)
	dst = strconv.AppendUint(append(dst, " f"...), uint64(l.Flags), 10)
	dst = strconv.AppendUint(append(dst, " c"...), l.CAS, 10)
	ttl := int64(-1)
	if l.Exp != 0 {
		ttl = seconds(l.Exp - now)
	}
	dst = strconv.AppendInt(append(dst, " t"...), ttl, 10)
	dst = appendMore(dst, l, now)
	dst = append(dst, "\r\n"...)
	return append(append(dst, l.Value...), "\r\n"...)
}
