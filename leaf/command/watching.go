// What those who watch are told: items looked for, stored, deleted and evicted, in memcached's lines.

package command

import (
	"strconv"

	"github.com/tidepool-proxy/tidepool/engine/watch"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// lineRoom holds a line with the longest key, each byte of it encoded as three.
const lineRoom = 1024

// look is tx.Get of key, told to those who watch.
func (e *Executor) look(tx *store.Tx, client int32, key []byte) (store.Item, bool) {
	it, ok := tx.Get()
	if e.o.Watch.Wants(watch.Fetchers) {
		e.tellFetched(client, key, len(it.Value), ok)
	}
	return it, ok
}

func (e *Executor) tellFetched(client int32, key []byte, size int, found bool) {
	var room [lineRoom]byte
	b := watch.AppendEncoded(append(room[:0], "type=item_get key="...), key)
	class := 0
	if found {
		b = append(b, " status=found"...)
		class = 1
	} else {
		b = append(b, " status=not_found"...)
	}
	e.o.Watch.Write(watch.Fetchers, appendTail(b, class, client, size))
}

// appendTail appends what lines of items end with. There are no slab classes; whatever is stored is in class 1.
func appendTail(b []byte, class int, client int32, size int) []byte {
	b = strconv.AppendInt(append(b, " clsid="...), int64(class), 10)
	b = strconv.AppendInt(append(b, " cfd="...), int64(client), 10)
	return strconv.AppendInt(append(b, " size="...), int64(size), 10)
}

// wrote tells how a write ended.
func (e *Executor) wrote(w *write, res outcome, size int) {
	if e.o.Watch.Wants(watch.Mutations) {
		e.tellWrote(w, res, size)
	}
}

// outcomeWords and modeWords are memcached's words in its logs.
var (
	outcomeWords = [...]string{stored: "stored", notStored: "not_stored", exists: "exists", notFound: "not_found", tooLarge: "too_large", noMemory: "no_memory"}
	modeWords    = [...]string{modeSet: "set", modeAdd: "add", modeReplace: "replace", modeAppend: "append", modePrepend: "prepend", modeCAS: "cas"}
)

func (e *Executor) tellWrote(w *write, res outcome, size int) {
	var room [lineRoom]byte
	b := watch.AppendEncoded(append(room[:0], "type=item_store key="...), w.key)
	b = append(append(b, " status="...), outcomeWords[res]...)
	b = append(append(b, " cmd="...), modeWords[w.mode]...)
	ttl, class := int64(0), 1
	if res == tooLarge || res == noMemory {
		class, size = 0, 0
	} else if w.exp != 0 {
		ttl = max(0, remaining(e.now(), w.exp))
	}
	b = strconv.AppendInt(append(b, " ttl="...), ttl, 10)
	e.o.Watch.Write(watch.Mutations, appendTail(b, class, w.client, size))
}

// deleted tells that it, which was found at key, has been deleted.
func (e *Executor) deleted(cmd string, key []byte, size int) {
	if e.o.Watch.Wants(watch.Deletions) {
		e.tellDeleted(cmd, key, size)
	}
}

func (e *Executor) tellDeleted(cmd string, key []byte, size int) {
	var room [lineRoom]byte
	b := watch.AppendEncoded(append(room[:0], "type=deleted key="...), key)
	b = append(append(b, " cmd="...), cmd...)
	b = append(b, " clsid=1 size="...)
	e.o.Watch.Write(watch.Deletions, strconv.AppendInt(b, int64(size), 10))
}

// TellEvicted tells h of an item that goes for want of memory; store.Options.Evicted calls it. now is in Unix milliseconds.
func TellEvicted(h *watch.Hub, now int64, it store.Item) {
	if !h.Wants(watch.Evictions) {
		return
	}
	var room [lineRoom]byte
	b := watch.AppendEncoded(append(room[:0], "type=eviction key="...), it.Key)
	if it.Bits&store.BitFetched != 0 {
		b = append(b, " fetch=yes ttl="...)
	} else {
		b = append(b, " fetch=no ttl="...)
	}
	b = strconv.AppendInt(b, remaining(now, it.Exp), 10) // -1: for ever
	b = strconv.AppendInt(append(b, " la="...), max(0, now-it.Access)/1000, 10)
	b = strconv.AppendInt(append(b, " clsid=1 size="...), int64(len(it.Value)), 10)
	h.Write(watch.Evictions, b)
}
