// A message read: its subject, headers and payload, and the command that they mean.

package face

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/face/wire"
	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// op is an operation: its place in wire.Ops.
type op uint8

const (
	opGet op = iota
	opSet
	opAdd
	opReplace
	opCAS
	opDel
	opIncr
	opDecr
	opTouch
	opNone // not one of them
)

// The headers that a request may have; the order is that in which they are complained of.
const (
	hOp = iota
	hKey
	hFlags
	hTTL
	hCAS
	hInitial
	numHeaders
)

var headerNames = [numHeaders]string{wire.Op, wire.Key, wire.Flags, wire.TTL, wire.CAS, wire.Initial}

// rules say for each operation which headers it wants, which it may have besides op and key, and whether it has a payload.
var rules = [opNone]struct {
	want, may uint8
	payload   bool
}{
	opGet:     {may: 1 << hTTL},
	opSet:     {may: 1<<hFlags | 1<<hTTL, payload: true},
	opAdd:     {may: 1<<hFlags | 1<<hTTL, payload: true},
	opReplace: {may: 1<<hFlags | 1<<hTTL, payload: true},
	opCAS:     {want: 1 << hCAS, may: 1<<hFlags | 1<<hTTL, payload: true},
	opDel:     {may: 1 << hCAS},
	opIncr:    {may: 1<<hTTL | 1<<hInitial, payload: true},
	opDecr:    {may: 1<<hTTL | 1<<hInitial, payload: true},
	opTouch:   {want: 1 << hTTL},
}

// ask is a request of a message. Its key lies in the hand's buffer.
type ask struct {
	op      op
	has     uint8  // headers that are there
	key     []byte // as the command names it
	base64  bool   // key is
	flags   uint64
	ttl     uint64 // in memcached's sense: over 30 days it is a date
	cas     uint64
	initial uint64
	delta   uint64
}

// read reads a message and says what is wrong with it, or "". keys is where keys are put; it is returned.
func (a *ask) read(keys []byte, m *nats.Msg, prefix string, now int64) (_ []byte, problem string) {
	var values [numHeaders]string
	a.op = opNone
	for name, v := range m.Header {
		i := headerIndex(name)
		if i < 0 {
			continue
		}
		if len(v) != 1 || a.has&(1<<i) != 0 {
			return keys, fmt.Sprintf("header %q is there more than once", headerNames[i])
		}
		a.has |= 1 << i
		values[i] = v[0]
	}
	if problem = a.operation(values[hOp]); problem != "" {
		return keys, problem
	}
	if keys, problem = a.readKey(keys, m.Subject, prefix, values[hKey]); problem != "" {
		return keys, problem
	}
	if problem = a.numbers(&values, now); problem != "" {
		return keys, problem
	}
	return keys, a.payload(m.Data)
}

// headerIndex is the header of that name, or -1.
func headerIndex(name string) int {
	for i, known := range headerNames {
		if len(name) == len(known) && strings.EqualFold(name, known) {
			return i
		}
	}
	return -1
}

// operation finds the operation and holds the headers against its rules.
func (a *ask) operation(name string) string {
	if a.has&(1<<hOp) == 0 {
		return `want a header "op": ` + strings.Join(wire.Ops[:], ", ")
	}
	for i, known := range wire.Ops {
		if name == known {
			a.op = op(i)
		}
	}
	if a.op == opNone {
		return fmt.Sprintf("op %s: want %s", quote(name), strings.Join(wire.Ops[:], ", "))
	}
	r := &rules[a.op]
	if missing := r.want &^ a.has; missing != 0 {
		return fmt.Sprintf("op %q wants a header %q", name, firstHeader(missing))
	}
	if odd := a.has &^ (r.want | r.may | 1<<hOp | 1<<hKey); odd != 0 {
		return fmt.Sprintf("header %q has no meaning with op %q", firstHeader(odd), name)
	}
	return ""
}

func firstHeader(set uint8) string {
	for i, name := range headerNames {
		if set&(1<<i) != 0 {
			return name
		}
	}
	return ""
}

// readKey takes the key from the subject or the header.
func (a *ask) readKey(keys []byte, subject, prefix, header string) (_ []byte, problem string) {
	token := strings.TrimPrefix(subject[len(prefix):], ".")
	at := len(keys)
	if a.has&(1<<hKey) == 0 {
		switch {
		case token == "":
			return keys, wire.ErrNoKey.Error()
		case !wire.Plain(token):
			return keys, fmt.Sprintf("key %s is not of [A-Za-z0-9_-]: such a key goes into the header %q, in base64, and %q into the subject",
				quote(token), wire.Key, wire.KeyInHeader)
		}
		keys = append(keys, token...)
	} else {
		if token != wire.KeyInHeader {
			return keys, fmt.Sprintf("header %q goes with the subject %q, not %s", wire.Key, prefix+"."+wire.KeyInHeader, quote(subject))
		}
		if base64.StdEncoding.EncodedLen(wire.MaxKey) < len(header) {
			return keys, wire.ErrLongKey.Error()
		}
		keys = append(keys, header...)
		code := len(keys)
		var err error
		if keys, err = base64.StdEncoding.Strict().AppendDecode(keys, keys[at:code]); err != nil {
			return keys[:at], fmt.Sprintf("header %q is not base64: %s", wire.Key, quote(header))
		}
		if err := wire.CheckKey(keys[code:]); err != nil {
			return keys[:at], err.Error()
		}
		if a.base64 = !wire.Text(keys[code:]); a.base64 {
			keys = keys[:code] // travels on as it came
		} else {
			at = code // travels on in clear, so that it is the key that memcached clients mean, and hashes like theirs
		}
	}
	a.key = keys[at:len(keys):len(keys)]
	if len(a.key) > wire.MaxKey {
		return keys, wire.ErrLongKey.Error()
	}
	return keys, ""
}

// numbers reads the headers that are some.
func (a *ask) numbers(values *[numHeaders]string, now int64) string {
	for _, n := range [...]struct {
		i    int
		most uint64
		to   *uint64
	}{
		{hFlags, math.MaxUint32, &a.flags}, {hTTL, math.MaxInt32, &a.ttl}, {hCAS, math.MaxUint64, &a.cas}, {hInitial, math.MaxUint64, &a.initial},
	} {
		if a.has&(1<<n.i) == 0 {
			continue
		}
		v, err := strconv.ParseUint(values[n.i], 10, 64)
		if err != nil || v > n.most {
			return fmt.Sprintf("header %q is %s: want a number from 0 to %d", headerNames[n.i], quote(values[n.i]), n.most)
		}
		*n.to = v
	}
	if a.ttl > wire.MaxRelative {
		if a.ttl += uint64(now); a.ttl > math.MaxInt32 {
			return fmt.Sprintf("header %q is %q: memcached's dates end in 2038", wire.TTL, values[hTTL])
		}
	}
	return ""
}

// payload looks at what need not be there, and reads what incr and decr are to add.
func (a *ask) payload(data []byte) string {
	switch {
	case !rules[a.op].payload && len(data) > 0:
		return fmt.Sprintf("op %q has no payload, and here is %s", wire.Ops[a.op], quote(string(data[:min(len(data), maxQuote+1)])))
	case a.op != opIncr && a.op != opDecr:
		return ""
	case len(data) == 0:
		a.delta = 1
		return ""
	}
	var ok bool
	if a.delta, ok = mc.ParseUint(data); !ok {
		return fmt.Sprintf("op %q: the payload is %s: want a number to count by, or none for 1", wire.Ops[a.op], quote(string(data[:min(len(data), maxQuote+1)])))
	}
	return ""
}

// maxQuote is how much of what is wrong is shown, in bytes.
const maxQuote = 60

func quote(s string) string {
	if len(s) > maxQuote {
		return strconv.Quote(s[:maxQuote]) + "..."
	}
	return strconv.Quote(s)
}
