// Moved keys: what new and previous owners are asked while a pool warms. Package frame says what the modes mean.

package leaf

import (
	"strconv"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/command"
	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/leaf/stream"
)

// answerMode executes a request that is not meant as it stands.
func (l *Leaf) answerMode(r *mc.Request, mode uint8, dst []byte) []byte {
	if l.local == nil || r.Bad != mc.BadNone || !r.Cmd.HasKey() || r.NKeys() != 1 {
		return l.exec(r, dst)
	}
	var room [mc.MaxKey]byte
	key, err := r.DecodeKey(room[:0])
	if err != nil || len(key) > mc.MaxKey {
		return l.exec(r, dst)
	}
	switch mode {
	case frame.ModeMoved:
		return l.moved(r, key, dst)
	case frame.ModePrevious:
		return l.previous(r, key, dst)
	}
	return l.fill(r, key, dst)
}

// moved executes a request for a key that had another owner before.
func (l *Leaf) moved(r *mc.Request, key, dst []byte) []byte {
	since := l.members.warm.since.Load()
	if since == 0 || overwrites(r) {
		return l.exec(r, dst)
	}
	tx := l.local.Store.Begin(key)
	elsewhere := tx.Elsewhere()
	tx.End()
	if !elsewhere {
		return l.exec(r, dst) // should the item be evicted before, it is lost for all
	}
	if deletes(r) {
		before := len(dst)
		dst = l.exec(r, dst)[:before] // an NF or NOT_FOUND, and the key is noted
	} else {
		l.count.elsewhere.Add(1)
	}
	dst = strconv.AppendUint(append(dst, "NF W"...), since, 10)
	return append(dst, "\r\n"...)
}

// overwrites: what a request does and answers does not depend on what is stored.
func overwrites(r *mc.Request) bool {
	switch r.Cmd {
	case mc.CmdSet:
		return true
	case mc.CmdMS:
		mode, _ := r.Flag('M')
		return !r.HasFlag('C') && (len(mode) == 0 || mode[0] == 'S')
	case mc.CmdMN:
		return true
	}
	return false
}

// deletes: whatever is stored goes.
func deletes(r *mc.Request) bool {
	return r.Cmd == mc.CmdDelete || r.Cmd == mc.CmdMD && !r.HasFlag('C') && !r.HasFlag('I') && !r.HasFlag('x')
}

// previous answers the owner that came after this leaf, through its proxies.
func (l *Leaf) previous(r *mc.Request, key, dst []byte) []byte {
	tx := l.local.Store.BeginPast(key)
	defer tx.End()
	it, ok := tx.Get()
	ok = ok && tx.Past()
	switch r.Cmd {
	case mc.CmdMD:
		if !ok {
			return append(dst, "NF\r\n"...)
		}
		tx.Delete()
		return append(dst, "HD\r\n"...)
	case mc.CmdMG:
		tok, _ := r.Flag('O')
		since, _ := mc.ParseUint(tok)
		if !ok || !l.lostSince(&tx, &it, since) {
			return append(dst, "EN\r\n"...)
		}
		l.count.handedOn.Add(1)
		return stream.AppendAnswer(dst, &store.Listed{Item: it, Size: len(it.Value), Heat: 1}, l.o.Now().UnixMilli())
	}
	return append(dst, "CLIENT_ERROR only mg and md\r\n"...)
}

// lostSince reports whether this leaf lost the item's key in that epoch or later: from then on the new owner knows of every write.
func (l *Leaf) lostSince(tx *store.Tx, it *store.Item, since uint64) bool {
	k, _, at := l.members.lineage.Load().judge(it.Key, it.Bits, tx.Age())
	return k == store.KeptPast && at >= since
}

// lostTo reports whether an item is one of those that p means.
func (l *Leaf) lostTo(it *store.Listed, p *frame.Past) bool {
	k, heir, at := l.members.lineage.Load().judge(it.Key, it.Bits, it.Age)
	return k == store.KeptPast && heir == p.Heir && at >= p.Since
}

// fill takes what the previous owner holds, or that it holds nothing.
func (l *Leaf) fill(r *mc.Request, key, dst []byte) []byte {
	done := false
	tx := l.local.Store.Begin(key)
	defer tx.End()
	if r.Cmd == mc.CmdMS {
		var it store.Listed
		if err := stream.Item(r, key, l.o.Now().UnixMilli(), &it); err != nil {
			return append(dst, "CLIENT_ERROR no item\r\n"...)
		}
		if r.Base64 {
			it.Bits |= command.BitBinaryKey
		}
		done = tx.Fill(&it.Item, it.Heat, 0) == store.TakenStored
	} else if r.Cmd == mc.CmdMD {
		done = tx.Nothing()
	}
	if !done {
		return append(dst, "NS\r\n"...)
	}
	l.count.filled.Add(1)
	return append(dst, "HD\r\n"...)
}
