package linear

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// What is not one register is found: each history is right but for what its name says.
func TestModel(t *testing.T) {
	type did struct {
		call, end int64
		op        Op
		out       Out
	}
	set := func(at int64, value string, cas uint64) did {
		return did{at, at + 1, Op{Kind: "set", Key: "k", Value: value, Meta: true}, Out{Result: OK, CAS: cas}}
	}
	get := func(at int64, value string, cas uint64) did {
		return did{at, at + 1, Op{Kind: "get", Key: "k"}, Out{Result: OK, Value: value, CAS: cas}}
	}
	one := func(at int64, kind, value string, cas uint64, out Out) did {
		return did{at, at + 1, Op{Kind: kind, Key: "k", Value: value, Delta: 1, CAS: cas}, out}
	}
	ok := func(value string) Out { return Out{Result: OK, Value: value} }
	absent, refused, exists := Out{Result: Absent}, Out{Result: Refused}, Out{Result: Exists}
	f := func(name string, want porcupine.CheckResult, list ...did) {
		t.Helper()
		h := &History{}
		for i, d := range list {
			h.add(porcupine.Operation{ClientId: i, Input: d.op, Call: d.call, Output: d.out, Return: d.end})
		}
		if got, _ := porcupine.CheckOperationsVerbose(Model, h.ops, time.Minute); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	good, bad := porcupine.Ok, porcupine.Illegal
	f("nothing", good)
	f("a miss before", good, one(1, "get", "", 0, absent), set(3, "1", 7), get(5, "1", 7))
	f("a write that is not read", bad, set(1, "1", 7), one(3, "get", "", 0, absent))
	f("a stale read", bad, set(1, "1", 7), set(3, "2", 8), get(5, "1", 7))
	f("two at once", good, did{1, 9, set(1, "1", 7).op, Out{Result: OK, CAS: 7}}, did{1, 9, set(1, "2", 8).op, Out{Result: OK, CAS: 8}}, get(10, "1", 7))
	f("the old CAS with the new value", bad, set(1, "1", 7), set(3, "2", 8), get(5, "2", 7))
	f("add twice", bad, one(1, "add", "1", 0, ok("")), one(3, "add", "2", 0, ok("")))
	f("add of what is absent refused", bad, one(1, "add", "1", 0, refused))
	f("add again", good, one(1, "add", "1", 0, ok("")), one(3, "add", "2", 0, refused), one(5, "delete", "", 0, ok("")), one(7, "add", "3", 0, ok("")))
	f("a lost append", bad, set(1, "1", 7), one(3, "append", "2", 0, ok("")), one(5, "append", "3", 0, ok("")), get(7, "13", 9))
	f("appends", good, set(1, "1", 7), one(3, "append", "2", 0, ok("")), one(5, "append", "3", 0, ok("")), get(7, "123", 9))
	f("append to nothing", bad, one(1, "append", "1", 0, ok("")))
	f("a lost incr", bad, set(1, "1", 7), one(3, "incr", "", 0, ok("2")), one(5, "incr", "", 0, ok("2")))
	f("incr", good, set(1, "9", 7), one(3, "incr", "", 0, ok("10")), get(5, "10", 8))
	f("cas over an older one", bad, set(1, "1", 7), set(3, "2", 8), one(5, "cas", "3", 7, ok("")))
	f("cas over an unknown one", bad, set(1, "1", 7), one(3, "set", "2", 0, ok("")), one(5, "cas", "3", 7, ok("")))
	f("cas", good, set(1, "1", 7), one(3, "cas", "3", 7, ok("")), one(5, "cas", "4", 7, exists), get(7, "3", 9))
	f("cas refused for nothing", bad, set(1, "1", 7), one(3, "cas", "3", 7, exists))
	f("a touch is no write", bad, set(1, "1", 7), one(3, "touch", "", 0, ok("")), get(5, "1", 8))
	f("deleted, and there", bad, set(1, "1", 7), one(3, "delete", "", 0, ok("")), get(5, "1", 7))
	f("evicted", good, set(1, "1", 7), one(3, "evict", "", 0, Out{}), one(5, "get", "", 0, absent))
	f("evicted, and there", bad, set(1, "1", 7), one(3, "evict", "", 0, Out{}), get(5, "1", 7))
	f("evicted when it was not there", bad, one(1, "evict", "", 0, Out{}))
}

func TestParse(t *testing.T) {
	f := func(kind string, meta bool, answer string, want Out, ok bool) {
		t.Helper()
		got, gotOK := Op{Kind: kind, Key: "k", Meta: meta}.parse(answer)
		if gotOK != ok || ok && got != want {
			t.Errorf("%s %q: %+v %v, want %+v %v", kind, answer, got, gotOK, want, ok)
		}
	}
	f("get", false, "VALUE k 0 2 7\r\nhi\r\nEND\r\n", Out{OK, "hi", 7}, true)
	f("get", false, "END\r\n", Out{Result: Absent}, true)
	f("get", true, "VA 2 c7\r\nhi\r\n", Out{OK, "hi", 7}, true)
	f("set", true, "HD c7\r\n", Out{OK, "", 7}, true)
	f("set", false, "STORED\r\n", Out{Result: OK}, true)
	f("incr", false, "12\r\n", Out{OK, "12", 0}, true)
	f("incr", true, "VA 2 c9\r\n12\r\n", Out{OK, "12", 9}, true)
	f("incr", true, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n", Out{Result: NotNumber}, true)
	f("get", true, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n", Out{}, false)
	f("cas", true, "EX c0\r\n", Out{Result: Exists}, true)
	f("get", true, "SERVER_ERROR backend failure\r\n", Out{}, false)
	f("get", true, "", Out{}, false)
}
