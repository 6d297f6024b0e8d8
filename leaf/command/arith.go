// Adding to a stored number: what incr, decr and ma share.

package command

import (
	"strconv"

	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// deltaResult says how an addition ended.
type deltaResult uint8

const (
	deltaOK deltaResult = iota
	deltaMissing
	deltaNotNumber
	deltaExists // another CAS than the wanted one
	deltaNoMemory
)

// deltaDone is what an addition left behind.
type deltaDone struct {
	value uint64
	cas   uint64
}

// pad is what a shortened number is filled up with.
const pad = "                        "

// delta adds to (or takes from) the number in it, which tx has just given. Adding wraps at 64 bits, taking stops at zero.
// A number that fits where the old one was keeps the item's length, padded with spaces, and all its marks; one that grew
// is a new item with the old expiry and client flags. wantCAS 0 compares nothing.
func (e *Executor) delta(tx *store.Tx, it *store.Item, incr bool, by, wantCAS uint64) (deltaResult, deltaDone) {
	if len(it.Value) == 0 {
		return deltaNotNumber, deltaDone{}
	}
	if wantCAS != 0 && it.CAS != wantCAS {
		return deltaExists, deltaDone{}
	}
	n, ok := looseU64(it.Value)
	switch {
	case !ok:
		return deltaNotNumber, deltaDone{}
	case incr:
		n += by
	case by > n:
		n = 0
	default:
		n -= by
	}
	var buf [24]byte
	text := strconv.AppendUint(buf[:0], n, 10)
	bits := it.Bits
	rest := pad[:0]
	switch short := len(it.Value) - len(text); {
	case short < 0:
		bits &= BitBinaryKey
	case short <= len(pad):
		rest = pad[:short]
	default:
		return e.deltaLong(tx, it, n, text)
	}
	cas, err := tx.PutParts(text, []byte(rest), it.Flags, it.Exp, bits, 0)
	if err != nil {
		return deltaNoMemory, deltaDone{}
	}
	return deltaOK, deltaDone{n, cas}
}

// deltaLong stores a number in place of a value that is much longer (a number, white space, and anything).
func (e *Executor) deltaLong(tx *store.Tx, it *store.Item, n uint64, text []byte) (deltaResult, deltaDone) {
	v := make([]byte, len(it.Value))
	for i := copy(v, text); i < len(v); i++ {
		v[i] = ' '
	}
	cas, err := tx.Put(v, it.Flags, it.Exp, it.Bits, 0)
	if err != nil {
		return deltaNoMemory, deltaDone{}
	}
	return deltaOK, deltaDone{n, cas}
}

// countDelta counts an addition.
func (e *Executor) countDelta(key []byte, incr bool, res deltaResult) {
	c := e.count.of(key)
	switch {
	case res == deltaOK && incr:
		c.add(incrHits)
	case res == deltaOK:
		c.add(decrHits)
	case res == deltaMissing && incr:
		c.add(incrMisses)
	case res == deltaMissing:
		c.add(decrMisses)
	}
}
