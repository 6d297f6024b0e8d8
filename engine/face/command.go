// What goes to the engine: commands of memcached's meta protocol, and touch.

package face

import (
	"strconv"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// commands are those that operations become: routes are asked for these.
var commands = [...]mc.Cmd{mc.CmdMG, mc.CmdMS, mc.CmdMD, mc.CmdMA, mc.CmdTouch}

// Commands are the commands that requests of a face become. Whoever attaches routes one by one wants one for each.
func Commands() []mc.Cmd { return commands[:] }

// append appends the command of a, with its value.
func (a *ask) append(dst, value []byte) []byte {
	switch a.op {
	case opGet:
		dst = a.head(dst, "mg ")
		dst = append(dst, " v f c"...)
		dst = a.number(dst, hTTL, " T", a.ttl)
		dst = append(dst, " t"...) // behind T: flags are executed in their order
	case opSet, opAdd, opReplace, opCAS:
		return a.appendStore(dst, value)
	case opDel:
		dst = a.head(dst, "md ")
		dst = a.number(dst, hCAS, " C", a.cas)
	case opIncr, opDecr:
		dst = a.appendCount(dst)
	case opTouch:
		// The word, not mg with T: to routes that spread reads mg is one, and would touch one copy of several.
		if a.base64 {
			dst = strconv.AppendUint(append(a.head(dst, "mg "), " T"...), a.ttl, 10)
			break
		}
		dst = strconv.AppendUint(append(a.head(dst, "touch "), ' '), a.ttl, 10)
	}
	return append(dst, "\r\n"...)
}

func (a *ask) appendStore(dst, value []byte) []byte {
	dst = append(append(append(dst, "ms "...), a.key...), ' ')
	dst = strconv.AppendInt(dst, int64(len(value)), 10)
	if a.base64 {
		dst = append(dst, " b"...)
	}
	switch a.op {
	case opAdd:
		dst = append(dst, " ME"...)
	case opReplace:
		dst = append(dst, " MR"...)
	}
	dst = a.number(dst, hCAS, " C", a.cas)
	dst = a.number(dst, hFlags, " F", a.flags)
	dst = a.number(dst, hTTL, " T", a.ttl)
	dst = append(append(dst, "\r\n"...), value...)
	return append(dst, "\r\n"...)
}

func (a *ask) appendCount(dst []byte) []byte {
	dst = append(a.head(dst, "ma "), " v D"...)
	dst = strconv.AppendUint(dst, a.delta, 10)
	if a.op == opDecr {
		dst = append(dst, " MD"...)
	}
	if a.has&(1<<hInitial) != 0 {
		dst = strconv.AppendUint(append(dst, " N"...), a.ttl, 10)
		dst = strconv.AppendUint(append(dst, " J"...), a.initial, 10)
	}
	return a.number(dst, hTTL, " T", a.ttl)
}

// head appends the command's word and the key.
func (a *ask) head(dst []byte, word string) []byte {
	dst = append(append(dst, word...), a.key...)
	if a.base64 {
		dst = append(dst, " b"...)
	}
	return dst
}

// number appends a flag if its header is there.
func (a *ask) number(dst []byte, header int, flag string, n uint64) []byte {
	if a.has&(1<<header) == 0 {
		return dst
	}
	return strconv.AppendUint(append(dst, flag...), n, 10)
}
