// mg and me: reading with leases, stale marks, and the debug line.

package command

import (
	"encoding/base64"
	"strconv"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// metaGet answers mg.
func (e *Executor) metaGet(r *mc.Request, dst []byte) []byte {
	var f flags
	defer f.release()
	if line := f.parse(r, 2); line != "" {
		return appendLine(dst, line)
	}
	if f.opaqueTooLong {
		return appendLine(dst, errOpaque)
	}
	now := e.now()
	c := e.count.of(f.key)
	tx := e.store.Begin(f.key)
	if f.hasTTL {
		tx.Claim()
	}
	it, ok := e.look(&tx, r.Client, f.key)
	e.detail.get(f.key, ok)
	created := false
	if !ok && f.vivify {
		it, created = vivifyEmpty(&tx, &f, now)
		ok = created
	}
	if !ok {
		tx.End()
		c.add(getMisses)
		if f.quiet {
			return dst
		}
		return append(f.appendReflected(append(dst, "EN"...), r), '\r', '\n')
	}
	dst = e.answerHit(dst, r, &f, &tx, &it, created, now)
	tx.End()
	if f.hasTTL {
		c.add(touchHits)
	} else {
		c.add(getHits)
	}
	return dst
}

// vivifyEmpty stores the empty item of a miss with N. Its expiry is set when the flags are done with: one that is past would
// hide it from them, and a T may follow.
func vivifyEmpty(tx *store.Tx, f *flags, now int64) (store.Item, bool) {
	it := store.Item{Key: f.key, Access: now, Exp: expiry(now, f.vivifyTTL), Bits: f.keyBits()}
	cas, err := tx.Put(nil, 0, 0, it.Bits, f.newCAS)
	if err != nil {
		return it, false
	}
	if it.CAS = cas; f.hasNewCAS && f.newCAS == 0 {
		tx.SetCAS(0)
		it.CAS = 0
	}
	return it, true
}

// answerHit appends the answer for it, and does to the item what the flags want, in their order: a t after a T tells the
// new time, one before it the old.
func (e *Executor) answerHit(dst []byte, r *mc.Request, f *flags, tx *store.Tx, it *store.Item, created bool, now int64) []byte {
	withValue := f.value && !(f.hasCAS && f.cas == it.CAS)
	if withValue {
		dst = append(dst, "VA "...)
		dst = strconv.AppendInt(dst, int64(len(it.Value)), 10)
	} else {
		dst = append(dst, "HD"...)
	}
	exp, won := it.Exp, false
	if created {
		exp = 0 // until its N is met
	}
	for i, n := 2, r.NToken(); i < n; i++ {
		switch t := r.Token(i); t[0] {
		case 'T':
			exp = expiry(now, f.ttl)
		case 'N':
			if created {
				exp, won = it.Exp, true
			}
		case 'R':
			won = won || !created && it.Bits&store.BitWon == 0 && f.shorter(now, exp)
		default:
			dst = appendItemFlag(dst, t, it, exp, now)
		}
	}
	bits := it.Bits
	if bits&store.BitWon != 0 {
		dst = append(dst, " Z"...)
	}
	if bits&store.BitStale != 0 {
		dst = append(dst, " X"...)
		won = won || bits&store.BitWon == 0
	}
	if won {
		dst = append(dst, " W"...)
		bits |= store.BitWon
	}
	dst = append(dst, '\r', '\n')
	if withValue {
		dst = append(dst, it.Value...)
		dst = append(dst, '\r', '\n')
	}
	if bits != it.Bits {
		tx.SetBits(bits)
	}
	if !f.noBump {
		tx.Touched()
	}
	if created || exp != it.Exp {
		tx.SetExp(exp)
	}
	return dst
}

// shorter reports whether an item that ends at exp has less time left than R gives.
func (f *flags) shorter(now, exp int64) bool {
	if exp == 0 || f.recacheTTL <= 0 {
		return false
	}
	if f.recacheTTL > maxRelative {
		at := int64(f.recacheTTL) * 1000
		return now < at && exp < at // what is past has no time left to be shorter than
	}
	return remaining(now, exp) < int64(f.recacheTTL)
}

// appendItemFlag appends what flag t asks about it.
func appendItemFlag(dst, t []byte, it *store.Item, exp, now int64) []byte {
	switch t[0] {
	case 's':
		return appendUintFlag(dst, 's', uint64(len(it.Value)))
	case 't':
		return appendTTL(dst, now, exp)
	case 'c':
		return appendUintFlag(dst, 'c', it.CAS)
	case 'f':
		return appendUintFlag(dst, 'f', uint64(it.Flags))
	case 'l':
		return appendUintFlag(dst, 'l', uint64(max(0, now-it.Access)/1000))
	case 'h':
		return appendUintFlag(dst, 'h', uint64(it.Bits&store.BitFetched/store.BitFetched))
	case 'O':
		return append(append(dst, ' '), t...)
	case 'k':
		return appendKey(dst, it.Key, it.Bits&BitBinaryKey != 0)
	}
	return dst
}

// itemOverhead is what me adds to key and value for its size: bytes that an item takes beside them, about.
const itemOverhead = 96

// metaDebug answers me: what is known of an item, without counting as a read.
func (e *Executor) metaDebug(r *mc.Request, dst []byte) []byte {
	c := e.count.of(r.Key)
	var f flags
	defer f.release()
	f.key = r.Key
	if len(r.Key) > mc.MaxKey || r.Base64 && !f.decodeKey(r) {
		return appendLine(dst, errFormat)
	}
	c.add(cmdMeta)
	now := e.now()
	tx := e.store.Begin(f.key)
	defer tx.End()
	it, ok := e.look(&tx, r.Client, f.key)
	if !ok {
		return append(dst, "EN\r\n"...)
	}
	dst = append(dst, "ME "...)
	if it.Bits&BitBinaryKey != 0 {
		dst = base64.StdEncoding.AppendEncode(dst, it.Key)
	} else {
		dst = append(dst, it.Key...)
	}
	dst = strconv.AppendInt(append(dst, " exp="...), remaining(now, it.Exp), 10)
	dst = strconv.AppendInt(append(dst, " la="...), max(0, now-it.Access)/1000, 10)
	dst = strconv.AppendUint(append(dst, " cas="...), it.CAS, 10)
	if it.Bits&store.BitFetched != 0 {
		dst = append(dst, " fetch=yes"...)
	} else {
		dst = append(dst, " fetch=no"...)
	}
	dst = strconv.AppendInt(append(dst, " cls=1 size="...), int64(len(it.Key)+len(it.Value)+itemOverhead), 10)
	return append(dst, '\r', '\n')
}
