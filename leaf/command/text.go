// The text commands that read, touch and delete: get gets gat gats touch delete incr decr.

package command

import (
	"strconv"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// get answers get, gets, gat and gats, with any number of keys. A key that is too long makes the whole answer an error.
func (e *Executor) get(r *mc.Request, dst []byte) []byte {
	withCAS := r.Cmd == mc.CmdGets || r.Cmd == mc.CmdGats
	touch := r.Cmd == mc.CmdGat || r.Cmd == mc.CmdGats
	var exp int64
	if touch {
		seconds, ok := parseI32(r.Token(1))
		if !ok {
			return say(dst, r, errExptime)
		}
		exp = expiry(e.now(), seconds)
	}
	start := len(dst)
	for pos := 0; ; {
		key, next, ok := r.NextKey(pos)
		if !ok {
			break
		}
		if len(key) > mc.MaxKey {
			return say(dst[:start], r, errFormat)
		}
		dst = e.getOne(dst, r, key, exp, touch, withCAS)
		pos = next
	}
	return append(dst, "END\r\n"...)
}

// getOne appends key's VALUE if it is there.
func (e *Executor) getOne(dst []byte, r *mc.Request, key []byte, exp int64, touch, withCAS bool) []byte {
	c := e.count.of(key)
	tx := e.store.Begin(key)
	if touch {
		tx.Claim()
	}
	it, ok := e.look(&tx, r.Client, key)
	e.detail.get(key, ok)
	if !ok {
		tx.End()
		if touch {
			c.add(touchMisses)
		} else {
			c.add(getMisses)
		}
		return dst
	}
	dst = append(dst, "VALUE "...)
	dst = append(dst, key...)
	dst = append(dst, ' ')
	dst = strconv.AppendUint(dst, uint64(it.Flags), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(len(it.Value)), 10)
	if withCAS {
		dst = append(dst, ' ')
		dst = strconv.AppendUint(dst, it.CAS, 10)
	}
	dst = append(dst, '\r', '\n')
	dst = append(dst, it.Value...)
	dst = append(dst, '\r', '\n')
	tx.Touched()
	if touch {
		tx.SetExp(exp)
	}
	tx.End()
	if touch {
		c.add(touchHits)
	} else {
		c.add(getHits)
	}
	return dst
}

// touch answers touch: a new expiry time, and the item counts as read.
func (e *Executor) touch(r *mc.Request, dst []byte) []byte {
	if len(r.Key) > mc.MaxKey {
		return say(dst, r, errFormat)
	}
	seconds, ok := parseI32(r.Token(2))
	if !ok {
		return say(dst, r, errExptime)
	}
	exp := expiry(e.now(), seconds)
	tx := e.store.Begin(r.Key)
	tx.Claim()
	if _, ok = e.look(&tx, r.Client, r.Key); ok {
		tx.Touched()
		tx.SetExp(exp)
	}
	tx.End()
	if !ok {
		e.count.of(r.Key).add(touchMisses)
		return say(dst, r, "NOT_FOUND")
	}
	e.count.of(r.Key).add(touchHits)
	return say(dst, r, "TOUCHED")
}

// delete answers delete. What follows the key is ignored, as in today's memcached.
func (e *Executor) delete(r *mc.Request, dst []byte) []byte {
	if len(r.Key) > mc.MaxKey {
		return say(dst, r, errFormat)
	}
	tx := e.store.Begin(r.Key)
	it, ok := e.look(&tx, r.Client, r.Key)
	e.detail.count(r.Key, noteDelete)
	if ok {
		e.deleted("delete", r.Key, len(it.Value))
		tx.Delete()
	} else {
		tx.Claim()
	}
	tx.End()
	if !ok {
		e.count.of(r.Key).add(deleteMisses)
		return say(dst, r, "NOT_FOUND")
	}
	e.count.of(r.Key).add(deleteHits)
	return say(dst, r, "DELETED")
}

// incrDecr answers incr and decr with the new number.
func (e *Executor) incrDecr(r *mc.Request, dst []byte) []byte {
	if len(r.Key) > mc.MaxKey {
		return say(dst, r, errFormat)
	}
	delta, ok := mc.ParseUint(r.Token(2))
	if !ok {
		return say(dst, r, "CLIENT_ERROR invalid numeric delta argument")
	}
	tx := e.store.Begin(r.Key)
	tx.Claim()
	it, ok := e.look(&tx, r.Client, r.Key)
	res := deltaMissing
	var d deltaDone
	if ok {
		res, d = e.delta(&tx, &it, r.Cmd == mc.CmdIncr, delta, 0)
	}
	tx.End()
	e.countDelta(r.Key, r.Cmd == mc.CmdIncr, res)
	switch res {
	case deltaOK:
		if r.NoReply {
			return dst
		}
		return append(strconv.AppendUint(dst, d.value, 10), '\r', '\n')
	case deltaMissing:
		return say(dst, r, "NOT_FOUND")
	case deltaNotNumber:
		return say(dst, r, errNotANum)
	}
	return say(dst, r, "SERVER_ERROR out of memory")
}
