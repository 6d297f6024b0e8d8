// What a key is: a register with memcached's operations.

package linear

import (
	"fmt"
	"strconv"

	"github.com/anishathalye/porcupine"
)

// register is a key's state.
type register struct {
	there bool
	value string
	cas   uint64 // 0: not known, because a text command stored it
	was   uint64 // the last number known
}

// put is the state after a value was stored, with the CAS that the answer told, if it did.
func (r register) put(value string, cas uint64) register {
	n := register{there: true, value: value, cas: cas, was: r.was}
	if cas != 0 {
		n.was = cas
	}
	return n
}

// seen is the state after an answer told the CAS of what is there; ok false: it is another one.
func (r register) seen(cas uint64) (ok bool, n register) {
	if cas == 0 || cas == r.cas {
		return true, r
	}
	if r.cas != 0 || cas == r.was {
		return false, r
	}
	r.cas, r.was = cas, cas
	return true, r
}

// Model is a key's, for porcupine. An eviction is an operation that may happen where the store says that it did.
var Model = porcupine.Model{
	Partition: func(h []porcupine.Operation) (parts [][]porcupine.Operation) {
		by := map[string][]porcupine.Operation{}
		for _, o := range h {
			k := o.Input.(Op).Key
			by[k] = append(by[k], o)
		}
		for _, p := range by {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() any { return register{} },
	Step: func(state, input, output any) (bool, any) {
		ok, n := step(state.(register), input.(Op), output.(Out))
		return ok, n
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

// step says whether in could have been answered by out in state r, and the state after it.
func step(r register, in Op, out Out) (bool, register) {
	switch in.Kind {
	case "get", "touch":
		if out.Result != OK {
			return out.Result == Absent && !r.there, r
		}
		if !r.there || in.Kind == "get" && out.Value != r.value {
			return false, r
		}
		return r.seen(out.CAS)
	case "set":
		return out.Result == OK, r.put(in.Value, out.CAS)
	case "add":
		if out.Result == OK {
			return !r.there, r.put(in.Value, out.CAS)
		}
		return out.Result == Refused && r.there, r
	case "cas":
		switch out.Result {
		case OK:
			return r.there && (r.cas == in.CAS || r.cas == 0 && r.was != in.CAS), r.put(in.Value, out.CAS)
		case Exists:
			return r.there && r.cas != in.CAS, r
		}
		return out.Result == Absent && !r.there, r
	case "append":
		if out.Result == OK {
			return r.there, r.put(r.value+in.Value, out.CAS)
		}
		return out.Result == Refused && !r.there, r
	case "incr":
		return stepIncr(r, in, out)
	case "delete":
		if out.Result == OK {
			return r.there, register{was: r.was}
		}
		return out.Result == Absent && !r.there, r
	case "evict":
		return r.there, register{was: r.was}
	}
	return false, r
}

func stepIncr(r register, in Op, out Out) (bool, register) {
	n, err := strconv.ParseUint(r.value, 10, 64)
	switch out.Result {
	case OK:
		sum := strconv.FormatUint(n+in.Delta, 10)
		return r.there && err == nil && sum == out.Value, r.put(sum, out.CAS)
	case NotNumber:
		return r.there && err != nil, r
	}
	return out.Result == Absent && !r.there, r
}
