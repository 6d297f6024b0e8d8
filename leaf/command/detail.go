// stats detail: what was asked for, by the part of the key before a delimiter.

package command

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// maxPrefixes is how many prefixes are counted, as in memcached: strangers choose them. Those that come later are not.
const maxPrefixes = 1 << 16

// details counts by prefix while it is on. Safe for concurrent use.
type details struct {
	on    atomic.Bool
	delim byte

	mu    sync.Mutex
	index map[string]int // into rows
	rows  []detailRow
}

// detailRow is what is counted of one prefix.
type detailRow struct {
	prefix                   string
	gets, hits, sets, delete int64
}

// row is key's row, or nil if it has no prefix or there are too many. The caller holds mu.
func (d *details) row(key []byte) *detailRow {
	n := bytes.IndexByte(key, d.delim)
	if n < 0 {
		return nil
	}
	i, ok := d.index[string(key[:n])]
	if !ok {
		if len(d.rows) >= maxPrefixes {
			return nil
		}
		if d.index == nil {
			d.index = map[string]int{}
		}
		i = len(d.rows)
		d.rows = append(d.rows, detailRow{prefix: string(key[:n])})
		d.index[d.rows[i].prefix] = i
	}
	return &d.rows[i]
}

// count notes what was done with key, if anybody wants to know.
func (d *details) count(key []byte, note func(*detailRow)) {
	if !d.on.Load() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if r := d.row(key); r != nil {
		note(r)
	}
}

func noteHit(r *detailRow)    { r.gets++; r.hits++ }
func noteMiss(r *detailRow)   { r.gets++ }
func noteSet(r *detailRow)    { r.sets++ }
func noteDelete(r *detailRow) { r.delete++ }

// get notes a key that was asked for.
func (d *details) get(key []byte, hit bool) {
	if hit {
		d.count(key, noteHit)
	} else {
		d.count(key, noteMiss)
	}
}

// forget is stats reset.
func (d *details) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.index, d.rows = nil, nil
}

// appendTo appends a line for each prefix, in the order in which they came.
func (d *details) appendTo(dst []byte) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.rows {
		r := &d.rows[i]
		dst = fmt.Appendf(dst, "PREFIX %s get %d hit %d set %d del %d\r\n", r.prefix, r.gets, r.hits, r.sets, r.delete)
	}
	return append(dst, "END\r\n"...)
}

// statsDetail answers stats detail on, off and dump; each is found by any prefix, as in memcached.
func (e *Executor) statsDetail(r *mc.Request, dst []byte) []byte {
	word := string(r.Token(2))
	switch {
	case word == "":
	case strings.HasPrefix("on", word):
		e.detail.on.Store(true)
		return say(dst, r, "OK")
	case strings.HasPrefix("off", word):
		e.detail.on.Store(false)
		return say(dst, r, "OK")
	case strings.HasPrefix("dump", word):
		return e.detail.appendTo(dst)
	}
	return say(dst, r, "CLIENT_ERROR usage: stats detail on|off|dump")
}
