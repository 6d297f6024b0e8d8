// Storing a value under a condition: what the text storage commands and ms share, and the text commands themselves.

package command

import (
	"errors"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// mode is the condition of a write and what becomes of the old value.
type mode uint8

const (
	modeSet mode = iota
	modeAdd
	modeReplace
	modeAppend
	modePrepend
	modeCAS
)

// outcome is how a write ended.
type outcome uint8

const (
	stored outcome = iota
	notStored
	exists
	notFound
	tooLarge
	noMemory
)

// BitBinaryKey marks an item whose key was given in base64, so that answers give it in base64 again. It lives beside the
// store's own bits in Item.Bits.
const BitBinaryKey uint8 = 1 << 3

// write is one write to be done.
type write struct {
	mode       mode
	key, value []byte
	flags      uint32
	exp        int64  // Unix milliseconds; 0 = never
	vivifyExp  int64  // expiry of an item made by append or prepend
	cas        uint64 // wanted CAS; 0 = none
	newCAS     uint64 // CAS to store; 0 = a fresh one
	vivify     bool   // append and prepend make a missing item
	allowStale bool   // modeCAS: an older CAS may store too, marked stale
	tooBig     bool   // the value was over the limit and has not been read
	dropIfBig  bool   // a value over the limit, or that there is no room for, takes the old one away with it
	binary     bool   // the key was given in base64
	client     int32  // who asks
}

// write does w and gives the stored CAS (0 unless stored) and the length of the value now stored (that of w's value if not
// stored).
func (e *Executor) write(w *write) (res outcome, cas uint64, size int) {
	c := e.count.of(w.key)
	e.detail.count(w.key, noteSet)
	tx := e.store.Begin(w.key)
	if w.tooBig || len(w.key)+len(w.value) > e.maxItem {
		if w.dropIfBig {
			tx.Delete()
		}
		res, size = tooLarge, len(w.value)
	} else {
		c.add(cmdSet)
		if w.mode != modeSet && w.mode != modeAdd {
			tx.Claim()
		}
		if old, ok := e.look(&tx, w.client, w.key); ok {
			res, cas, size = e.writeOver(w, &tx, &old)
		} else {
			res, cas, size = e.writeNew(w, &tx)
		}
		if res == noMemory && w.dropIfBig { // as memcached: better nothing than what is known to be old
			tx.Delete()
		}
	}
	e.wrote(w, res, size)
	tx.End()
	switch res {
	case tooLarge:
		c.add(storeTooLarge)
	case noMemory:
		c.add(storeNoMemory)
	}
	return res, cas, size
}

// writeNew does w where nothing is stored.
func (e *Executor) writeNew(w *write, tx *store.Tx) (outcome, uint64, int) {
	exp := w.exp
	switch w.mode {
	case modeReplace:
		return notStored, 0, len(w.value)
	case modeCAS:
		e.count.of(w.key).add(casMisses)
		return notFound, 0, len(w.value)
	case modeAppend, modePrepend:
		if !w.vivify {
			return notStored, 0, len(w.value)
		}
		exp = w.vivifyExp
	}
	return put(tx, w.value, nil, w.flags, exp, w.bits(), w.newCAS)
}

// writeOver does w where old is stored.
func (e *Executor) writeOver(w *write, tx *store.Tx, old *store.Item) (outcome, uint64, int) {
	switch w.mode {
	case modeAdd:
		return notStored, 0, len(w.value)
	case modeCAS:
		return e.writeCAS(w, tx, old)
	case modeAppend, modePrepend:
		if w.cas != 0 && w.cas != old.CAS {
			return exists, 0, len(w.value)
		}
		if len(w.key)+len(old.Value)+len(w.value) > e.maxItem {
			return notStored, 0, len(w.value)
		}
		a, b := old.Value, w.value
		if w.mode == modePrepend {
			a, b = b, a
		}
		return put(tx, a, b, old.Flags, old.Exp, old.Bits&BitBinaryKey, w.newCAS)
	}
	return put(tx, w.value, nil, w.flags, w.exp, w.bits(), w.newCAS)
}

// writeCAS does a compare-and-swap over old. With allowStale an older CAS stores too: the value is new, but the expiry is
// the old one, and the item is (or stays) marked stale, and won if it was.
func (e *Executor) writeCAS(w *write, tx *store.Tx, old *store.Item) (outcome, uint64, int) {
	c := e.count.of(w.key)
	switch {
	case w.cas != 0 && w.cas == old.CAS:
		c.add(casHits)
		return put(tx, w.value, nil, w.flags, w.exp, w.bits(), w.newCAS)
	case w.cas != 0 && w.allowStale && w.cas < old.CAS:
		c.add(casHits)
		bits := w.bits() | store.BitStale | old.Bits&store.BitWon
		return put(tx, w.value, nil, w.flags, old.Exp, bits, w.newCAS)
	}
	c.add(casBadval)
	return exists, 0, len(w.value)
}

// bits gives a new item's bits.
func (w *write) bits() uint8 {
	if w.binary {
		return BitBinaryKey
	}
	return 0
}

// put stores two pieces as one value.
func put(tx *store.Tx, a, b []byte, flags uint32, exp int64, bits uint8, cas uint64) (outcome, uint64, int) {
	size := len(a) + len(b)
	cas, err := tx.PutParts(a, b, flags, exp, bits, cas)
	switch {
	case errors.Is(err, store.ErrTooLarge):
		return tooLarge, 0, size
	case err != nil:
		return noMemory, 0, size
	}
	return stored, cas, size
}

// set answers set, add, replace, append, prepend and cas.
func (e *Executor) set(r *mc.Request, dst []byte) []byte {
	if len(r.Key) > mc.MaxKey {
		return say(dst, r, errFormat)
	}
	flags, okFlags := looseU64(r.Token(2))
	seconds, okExp := looseI32(r.Token(3))
	if !okFlags || !okExp {
		return say(dst, r, errFormat)
	}
	w := write{key: r.Key, value: data(r), flags: uint32(flags), exp: expiry(e.now(), seconds), tooBig: r.Bad == mc.BadTooLarge, client: r.Client}
	switch r.Cmd {
	case mc.CmdSet:
		w.dropIfBig = true
	case mc.CmdAdd:
		w.mode = modeAdd
	case mc.CmdReplace:
		w.mode = modeReplace
	case mc.CmdAppend:
		w.mode = modeAppend
	case mc.CmdPrepend:
		w.mode = modePrepend
	case mc.CmdCas:
		w.mode = modeCAS
		ok := false
		if w.cas, ok = mc.ParseUint(r.Token(5)); !ok {
			return say(dst, r, errFormat)
		}
	}
	res, _, _ := e.write(&w)
	return say(dst, r, outcomeLines[res])
}

// outcomeLines are the text protocol's words for an outcome.
var outcomeLines = [...]string{
	stored: "STORED", notStored: "NOT_STORED", exists: "EXISTS", notFound: "NOT_FOUND", tooLarge: errTooLarge, noMemory: errNoMemory,
}

// data gives a storage request's value without its line end.
func data(r *mc.Request) []byte {
	if len(r.Value) < 2 {
		return nil
	}
	return r.Value[:len(r.Value)-2]
}
