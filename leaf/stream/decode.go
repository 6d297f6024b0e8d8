// Decoding: a stream's bytes, cut anywhere, back into items.

package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/leaf/store"
)

// maxValue is memcached's own limit, and any leaf's.
const maxValue = 1 << 30

// maxHeat is the most that Listed.Heat says.
const maxHeat = 15

// decoder makes items of bodies. It keeps what is cut off until the rest comes.
type decoder struct {
	buf  []byte
	at   int // of buf: done with
	p    mc.Parser
	req  mc.Request
	resp mc.Response
	name []byte // the item's key
	item store.Listed
}

// feed takes the next body, which it copies.
func (d *decoder) feed(body []byte) {
	if d.at > 0 {
		d.buf = d.buf[:copy(d.buf, d.buf[d.at:])]
		d.at = 0
	}
	d.buf = append(d.buf, body...)
}

// next gives the next item, valid until the next call; nil if there is none before more is fed, and io.EOF at the
// stream's end. now is Unix milliseconds.
func (d *decoder) next(now int64) (*store.Listed, error) {
	buf := d.buf[d.at:]
	if len(buf) == 0 {
		return nil, nil
	}
	var n int
	var err error
	if buf[0] == 'm' {
		n, _, err = d.p.Next(buf, &mc.Rules{MaxValue: maxValue}, &d.req)
		if err == nil {
			err = d.ms(now)
		}
	} else {
		n, _, err = mc.ParseResponse(buf, &d.resp)
		if err == nil {
			err = d.answer(now)
		}
	}
	d.at += n
	switch {
	case errors.Is(err, mc.ErrMore):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &d.item, nil
}

// ended: nothing follows what next has given.
func (d *decoder) ended() bool { return d.at == len(d.buf) }

// answer reads what is no item with its value.
func (d *decoder) answer(now int64) error {
	r := &d.resp
	switch line := r.Text(); {
	case bytes.HasPrefix(line, []byte("HD ")):
		return d.hd(now)
	case string(line) == "EN":
		return io.EOF
	default:
		return malformed(line)
	}
}

func malformed(line []byte) error {
	return fmt.Errorf("cannot read stream: no item in %q", line[:min(len(line), 100)])
}

// ms reads an item with its value.
func (d *decoder) ms(now int64) (err error) {
	r := &d.req
	if r.Bad != mc.BadNone || r.Cmd != mc.CmdMS || len(r.Key) == 0 {
		return malformed(r.Line)
	}
	d.item = store.Listed{}
	l := &d.item
	if d.name, err = r.DecodeKey(d.name[:0]); err != nil {
		return malformed(r.Line)
	}
	l.Key, l.Value = d.name, r.Value[:len(r.Value)-2]
	l.Size = len(l.Value)
	cas, okCAS := r.Flag('E')
	flags, okFlags := r.Flag('F')
	more, okMore := r.Flag('O')
	if !okCAS || !okFlags || !okMore || !d.numbers(cas, flags) || !d.more(more, now) {
		return malformed(r.Line)
	}
	return nil
}

// Item makes an item of one ms line, whose key is given as it is stored; now is Unix milliseconds. Its bytes are the request's and the key's.
func Item(r *mc.Request, key []byte, now int64, l *store.Listed) error {
	cas, okCAS := r.Flag('E')
	flags, okFlags := r.Flag('F')
	more, okMore := r.Flag('O')
	var d decoder
	if r.Cmd != mc.CmdMS || len(r.Value) < 2 || !okCAS || !okFlags || !okMore || !d.numbers(cas, flags) || !d.more(more, now) {
		return malformed(r.Line)
	}
	*l = d.item
	l.Key, l.Value = key, r.Value[:len(r.Value)-2]
	l.Size = len(l.Value)
	return nil
}

// hd reads an item without its value.
func (d *decoder) hd(now int64) error {
	r := &d.resp
	d.item = store.Listed{}
	l := &d.item
	bad := func() error { return malformed(r.Text()) }
	key, _ := r.Flag('k')
	if len(key) == 0 || len(key) > mc.MaxKey {
		return bad()
	}
	_, coded := r.Flag('b')
	written := mc.Request{Key: key, Base64: coded}
	var err error
	if d.name, err = written.DecodeKey(d.name[:0]); err != nil {
		return bad()
	}
	l.Key = d.name
	size, _ := r.Flag('s')
	n, ok := mc.ParseUint(size)
	if !ok || n > maxValue {
		return bad()
	}
	l.Size = int(n)
	cas, okCAS := r.Flag('c')
	flags, okFlags := r.Flag('f')
	more, okMore := r.Flag('O')
	if !okCAS || !okFlags || !okMore || !d.numbers(cas, flags) || !d.more(more, now) {
		return bad()
	}
	return nil
}

func (d *decoder) numbers(cas, flags []byte) bool {
	f, ok := mc.ParseUint(flags)
	if !ok || f > 1<<32-1 {
		return false
	}
	d.item.Flags = uint32(f)
	d.item.CAS, ok = mc.ParseUint(cas)
	return ok
}

// more reads what is in O. Fields that are added later are passed over.
func (d *decoder) more(tok []byte, now int64) bool {
	var n [4]int64
	rest, ok := string(tok), true
	for i := range n {
		var s string
		s, rest, ok = strings.Cut(rest, ".")
		v, err := strconv.ParseInt(s, moreBase, 64)
		if err != nil || v < 0 || v > 1<<48 || i < len(n)-1 && !ok {
			return false
		}
		n[i] = v
	}
	l := &d.item
	if n[0] > 0xff || n[1] > maxHeat {
		return false
	}
	l.Bits, l.Heat, l.Access = uint8(n[0]), int(n[1]), now-n[2]
	if n[3] > 0 {
		l.Exp = now + n[3]
	}
	return true
}
