// ms, md and ma: the meta commands that write.

package command

import (
	"strconv"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// metaSet answers ms.
func (e *Executor) metaSet(r *mc.Request, dst []byte) []byte {
	var f flags
	defer f.release()
	if line := f.parse(r, 3); line != "" {
		return appendLine(dst, line)
	}
	now := e.now()
	w := write{
		key: f.key, value: data(r), flags: f.clientFlags, exp: expiry(now, f.ttl), vivify: f.vivify, vivifyExp: expiry(now, f.vivifyTTL),
		cas: f.cas, newCAS: f.newCAS, tooBig: r.Bad == mc.BadTooLarge, dropIfBig: true, binary: f.binaryKey(), client: r.Client,
	}
	ok := false
	if w.mode, ok = metaMode(f.mode); !ok {
		return appendLine(dst, "CLIENT_ERROR invalid mode for ms M token")
	}
	if f.hasCAS && (w.mode == modeSet || w.mode == modeReplace) {
		w.mode = modeCAS
		w.allowStale = f.invalidate
	}
	if f.opaqueTooLong && !w.tooBig {
		return appendLine(dst, errOpaque)
	}
	res, cas, size := e.write(&w)
	switch {
	case res == tooLarge || res == noMemory:
		return appendLine(dst, outcomeLines[res])
	case res == stored && f.quiet:
		return dst
	}
	dst = append(dst, outcomeCodes[res]...)
	for i, n := 3, r.NToken(); i < n; i++ {
		switch t := r.Token(i); t[0] {
		case 'O':
			dst = append(append(dst, ' '), t...)
		case 'k':
			dst = appendKey(dst, f.key, f.binaryKey())
		case 'c':
			dst = appendUintFlag(dst, 'c', cas)
		case 's':
			dst = appendUintFlag(dst, 's', uint64(size))
		}
	}
	return append(dst, '\r', '\n')
}

// outcomeCodes are the meta protocol's codes for an outcome.
var outcomeCodes = [...]string{stored: "HD", notStored: "NS", exists: "EX", notFound: "NF"}

// metaMode gives the mode of an M flag's first letter; 0 is no M.
func metaMode(c byte) (mode, bool) {
	switch c {
	case 0, 'S':
		return modeSet, true
	case 'E':
		return modeAdd, true
	case 'A':
		return modeAppend, true
	case 'P':
		return modePrepend, true
	case 'R':
		return modeReplace, true
	}
	return 0, false
}

// metaDelete answers md: it deletes, or with x empties, or with I marks stale.
func (e *Executor) metaDelete(r *mc.Request, dst []byte) []byte {
	var f flags
	defer f.release()
	if line := f.parse(r, 2); line != "" {
		return appendLine(dst, line)
	}
	if f.opaqueTooLong {
		return appendLine(dst, errOpaque)
	}
	c := e.count.of(f.key)
	tx := e.store.Begin(f.key)
	if f.hasCAS || f.removeValue || f.invalidate {
		tx.Claim()
	}
	it, ok := e.look(&tx, r.Client, f.key)
	e.detail.count(f.key, noteDelete)
	code := "HD"
	switch {
	case !ok:
		tx.Claim()
		code = "NF"
		c.add(deleteMisses)
	case f.hasCAS && it.CAS != f.cas:
		code = "EX"
		c.add(deleteMisses)
	default:
		size := len(it.Value)
		if !e.remove(&f, &tx, &it) {
			tx.End()
			return appendLine(dst, "SERVER_ERROR out of memory")
		}
		if !f.invalidate {
			c.add(deleteHits)
		}
		if !f.invalidate && !f.removeValue {
			e.deleted("md", f.key, size)
		}
	}
	tx.End()
	if code == "HD" && f.quiet {
		return dst
	}
	return append(f.appendReflected(append(dst, code...), r), '\r', '\n')
}

// remove does to the stored it what md's flags want.
func (e *Executor) remove(f *flags, tx *store.Tx, it *store.Item) bool {
	if !f.removeValue && !f.invalidate {
		tx.Delete()
		return true
	}
	bits := it.Bits
	if f.removeValue {
		bits = it.Bits & BitBinaryKey
		if !e.empty(f, tx, it) {
			return false
		}
	}
	if f.invalidate {
		if f.hasTTL {
			tx.SetExp(expiry(e.now(), f.ttl))
		}
		tx.SetBits(bits&^store.BitWon | store.BitStale) // whoever reads next wins
		cas := f.newCAS
		if !f.hasNewCAS {
			cas = e.store.NextCAS()
		}
		tx.SetCAS(cas)
	}
	return true
}

// empty replaces it by an item without value; its CAS stays unless E gives another.
func (e *Executor) empty(f *flags, tx *store.Tx, it *store.Item) bool {
	cas := it.CAS
	if f.hasNewCAS {
		cas = f.newCAS
	}
	if _, err := tx.Put(nil, f.clientFlags, expiry(e.now(), f.ttl), it.Bits&BitBinaryKey, cas); err != nil {
		return false
	}
	if cas == 0 {
		tx.SetCAS(0)
	}
	return true
}

// metaArith answers ma.
func (e *Executor) metaArith(r *mc.Request, dst []byte) []byte {
	f := flags{delta: 1}
	defer f.release()
	if f.parse(r, 2) != "" {
		return appendLine(dst, errArithFlags)
	}
	incr := true
	switch f.mode {
	case 0, 'I', '+':
	case 'D', '-':
		incr = false
	default:
		return appendLine(dst, "CLIENT_ERROR invalid mode for ma M token")
	}
	if f.opaqueTooLong {
		return appendLine(dst, errOpaque)
	}
	now := e.now()
	tx := e.store.Begin(f.key)
	defer tx.End()
	tx.Claim()
	it, ok := e.look(&tx, r.Client, f.key)
	res, done, created := deltaMissing, deltaDone{}, false
	switch {
	case ok:
		res, done = e.delta(&tx, &it, incr, f.delta, f.cas)
	case f.vivify:
		created = true
		it = store.Item{Exp: expiry(now, f.vivifyTTL)}
		res, done = vivifyNumber(&tx, &f)
	}
	if !created {
		e.countDelta(f.key, incr, res)
	}
	switch res {
	case deltaNotNumber:
		return appendLine(dst, errNotANum)
	case deltaNoMemory:
		return appendLine(dst, "SERVER_ERROR out of memory")
	case deltaMissing:
		return append(f.appendReflected(append(dst, "NF"...), r), '\r', '\n')
	case deltaExists:
		return append(f.appendReflected(append(dst, "EX"...), r), '\r', '\n')
	}
	if f.hasNewCAS {
		tx.SetCAS(f.newCAS)
		done.cas = f.newCAS
	}
	return e.answerNumber(dst, r, &f, &tx, it.Exp, done, created, now)
}

// vivifyNumber stores the initial number of a miss with N, as vivifyEmpty does without its expiry.
func vivifyNumber(tx *store.Tx, f *flags) (deltaResult, deltaDone) {
	var buf [24]byte
	cas, err := tx.Put(strconv.AppendUint(buf[:0], f.initial, 10), 0, 0, f.keyBits(), f.newCAS)
	if err != nil {
		return deltaNoMemory, deltaDone{}
	}
	return deltaOK, deltaDone{f.initial, cas}
}

// answerNumber appends ma's answer, and sets the expiry that T gives, in the order of the flags as mg does.
func (e *Executor) answerNumber(dst []byte, r *mc.Request, f *flags, tx *store.Tx, was int64, done deltaDone, created bool, now int64) []byte {
	var buf [24]byte
	text := strconv.AppendUint(buf[:0], done.value, 10)
	start := len(dst)
	if f.value {
		dst = append(dst, "VA "...)
		dst = strconv.AppendInt(dst, int64(len(text)), 10)
	} else {
		dst = append(dst, "HD"...)
	}
	exp := was
	if created {
		exp = 0 // until its N is met
	}
	for i, n := 2, r.NToken(); i < n; i++ {
		switch t := r.Token(i); t[0] {
		case 'c':
			dst = appendUintFlag(dst, 'c', done.cas)
		case 't':
			dst = appendTTL(dst, now, exp)
		case 'T':
			exp = expiry(now, f.ttl)
		case 'N':
			if created {
				exp = was
			}
		case 'O':
			dst = append(append(dst, ' '), t...)
		case 'k':
			dst = appendKey(dst, f.key, f.binaryKey())
		}
	}
	if created || exp != was {
		tx.SetExp(exp)
	}
	if f.quiet {
		return dst[:start]
	}
	dst = append(dst, '\r', '\n')
	if f.value {
		dst = append(append(dst, text...), '\r', '\n')
	}
	return dst
}
