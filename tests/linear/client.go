// Operations as requests, and their answers.

package linear

import (
	"fmt"
	"strconv"
	"strings"
)

// Op is one operation on one key: get, set, add, cas, incr, append, delete, touch; or evict, which the store does.
type Op struct {
	Kind  string
	Key   string
	Value string // set, add, cas, append
	Delta uint64 // incr
	CAS   uint64 // cas: the one compared; 0 if the client has seen none
	Meta  bool   // as a meta command, whose answer tells the CAS
}

// Result is what came of an operation.
type Result uint8

// The results.
const (
	OK        Result = 1 + iota
	Absent           // the key is not there
	Refused          // NOT_STORED: add where one is there, append where none is
	Exists           // another CAS than the one compared
	NotNumber        // incr of something else
)

// Out is what an answer says.
type Out struct {
	Result Result
	Value  string // get, incr
	CAS    uint64 // of what is there now; 0: the answer does not say
}

// request gives the bytes to send.
func (o Op) request() string {
	value := fmt.Sprintf("%d\r\n%s\r\n", len(o.Value), o.Value)
	sized := func(flags string) string {
		return fmt.Sprintf("ms %s %d %s\r\n%s\r\n", o.Key, len(o.Value), flags, o.Value)
	}
	if o.Meta {
		switch o.Kind {
		case "get":
			return "mg " + o.Key + " v c\r\n"
		case "set":
			return sized("c")
		case "add":
			return sized("ME c")
		case "cas":
			return sized(fmt.Sprintf("C%d c", o.CAS))
		case "append":
			return sized("MA c")
		case "incr":
			return fmt.Sprintf("ma %s D%d v c\r\n", o.Key, o.Delta)
		case "delete":
			return "md " + o.Key + "\r\n"
		case "touch":
			return "mg " + o.Key + " T100000 c\r\n"
		}
	}
	switch o.Kind {
	case "get":
		return "gets " + o.Key + "\r\n"
	case "cas":
		return fmt.Sprintf("cas %s 0 0 %d %d\r\n%s\r\n", o.Key, len(o.Value), o.CAS, o.Value)
	case "incr":
		return fmt.Sprintf("incr %s %d\r\n", o.Key, o.Delta)
	case "delete":
		return "delete " + o.Key + "\r\n"
	case "touch":
		return "touch " + o.Key + " 100000\r\n"
	}
	return o.Kind + " " + o.Key + " 0 0 " + value // set, add, append
}

// do performs o.
func (o Op) do(ask Client) (Out, error) {
	request := o.request()
	answer, err := ask(request)
	if err != nil {
		return Out{}, fmt.Errorf("%q: %w", request, err)
	}
	out, ok := o.parse(answer)
	if !ok {
		return Out{}, fmt.Errorf("%q: answered %q", request, answer)
	}
	return out, nil
}

// results are the first words of answers.
var results = map[string]Result{
	"HD": OK, "VA": OK, "EN": Absent, "NF": Absent, "NS": Refused, "EX": Exists,
	"VALUE": OK, "END": Absent, "STORED": OK, "NOT_STORED": Refused, "EXISTS": Exists, "NOT_FOUND": Absent, "DELETED": OK, "TOUCHED": OK,
	"CLIENT_ERROR": NotNumber,
}

func (o Op) parse(answer string) (out Out, ok bool) {
	line, rest, _ := strings.Cut(answer, "\r\n")
	w := strings.Fields(line)
	if len(w) == 0 {
		return out, false
	}
	out.Result = results[w[0]]
	if out.Result == NotNumber && (o.Kind != "incr" || !strings.Contains(line, "non-numeric")) {
		return out, false
	}
	switch {
	case w[0] == "VALUE" && len(w) == 5:
		out.CAS, _ = strconv.ParseUint(w[4], 10, 64)
		out.Value, ok = strings.CutSuffix(rest, "\r\nEND\r\n")
		return out, ok
	case o.Kind == "incr" && !o.Meta && len(w) == 1 && out.Result == 0:
		out.Result, out.Value = OK, w[0]
		return out, true
	case w[0] == "VA":
		out.Value = strings.TrimSuffix(rest, "\r\n")
	}
	if last := w[len(w)-1]; o.Meta && out.Result == OK && last[0] == 'c' {
		out.CAS, _ = strconv.ParseUint(last[1:], 10, 64)
	}
	return out, out.Result != 0
}
