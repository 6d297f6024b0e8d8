// What is not compared, and why: each row is a difference between what memcached does and what the leaf does.

package differ

import (
	"slices"
	"strings"
)

// Difference says of which requests the answers differ, and the reason. What a difference leaves in the servers would show in
// later answers, too, so such requests are sent to neither.
type Difference struct {
	When func(request string) bool
	Why  string
}

// Apart lists where we differ on purpose from every memcached (found in the source of 1.6.45 and by trying it).
var Apart = []Difference{
	{both(flag("t", "mg", "ma"), either(flag("T-1", "mg", "ma"), flag("N-1", "mg", "ma"), flag("T2592001", "mg", "ma"))),
		"t for an item that is past its end: memcached prints the difference as an unsigned number, 4294967295 and so on; we print 0"},
	{both(either(flag("T", "ma"), flag("E", "ma")), not(flag("D0", "ma"))),
		"ma with T or E on a number that gets longer: memcached changes the old item, so TTL and CAS of the new one are not what was asked for; ours are"},
	{both(flag("b", "mg", "ma", "md", "ms"), either(flag("N", "mg", "ma"), flag("x", "md"), flag("MA", "ms"), flag("MP", "ms"), grows)),
		"mg N, ma N, md x, ms in modes A and P, and a number that gets longer, of a key given in base64: memcached forgets that the key is " +
			"binary and prints it raw from then on, line ends and all; we keep the mark"},
	{notAFlag, "ms with a flag that is neither letter nor digit: memcached takes the value for the next command; we swallow it, as with every other " +
		"malformed ms"},
	{flag("b", "me"), "me with b: memcached 1.6.45 takes the key literally unless another token follows; we decode it, as 1.6.18 does"},
}

// Not compared because the generator does not make them, nor could a rule tell them by their words:
//
//   - a too long opaque: memcached notices while it writes the answer, when the command is half done. We do nothing.
//   - l and me's la: memcached moves the access time only now and then. We always do; a run is too short to show it.
//   - get with a key over 250 bytes: memcached 1.6.45 ends its error with two line ends, and the second is an answer too
//     many. We give one.
//   - a number that is a minus sign alone (touch a -, mg a T-): memcached reads it as 0. We refuse it.
//   - base64 keys: memcached passes over bytes that are no base64. We refuse them.
//   - flush_all with a Unix time before memcached's start: it forgets nothing, and a flush_all that was to come is off. For us
//     the time is past, so everything goes.
//   - flush_all with a delay after one without: memcached has only one time for both, so items that the first forgot and
//     that nobody has asked for since are back. Ours stay gone.
//   - incr, decr and ma in one write with an earlier read of the same key, whose answer memcached still holds: it makes a new
//     item, and the number is not filled up with spaces to the length of the old one. Ours always is.
//   - the item limit: memcached counts its own header, some 60 bytes, among the bytes of an item. We count key and value.
//   - stats: there are no slabs, and total_items counts every incr and decr, too, since each stores anew.
//   - TTLs end after whole seconds from now, not at a tick of the server's second; so does the delay of flush_all.

// Newer lists what memcached 1.6.18 (Debian's) does otherwise than today's, whose protocol.txt rules. The transcript of a
// 1.6.45 has them all.
var Newer = []Difference{
	{flag("E", "mg", "ms", "md", "ma"), "no E yet"},
	{flag("C", "mg"), "mg read C but did not leave the value out"},
	{flag("x", "md"), "no x yet"},
	{flag("s", "ms"), "ms did not give s back"},
	{both(flag("N", "ms"), either(flag("MA", "ms"), flag("MP", "ms"))), "ms with N did not make a missing item in modes A and P"},
	{both(flag("N", "ma"), flag("q", "ma")), "ma with q told when it made the item"},
	{longMode, "a mode of more than one letter was refused"},
}

// WhyNot gives the reason why request is not for them, or "".
func WhyNot(request string, old bool) string {
	for _, d := range Apart {
		if d.When(request) {
			return d.Why
		}
	}
	for _, d := range Newer {
		if old && d.When(request) {
			return d.Why
		}
	}
	return ""
}

// words are those of the command line.
func words(request string) []string {
	line, _, _ := strings.Cut(request, "\r\n")
	return strings.Fields(line)
}

// flag: one of the commands, with a flag that begins so.
func flag(prefix string, commands ...string) func(string) bool {
	return func(r string) bool {
		w := words(r)
		if len(w) < 3 || !slices.Contains(commands, w[0]) {
			return false
		}
		return slices.ContainsFunc(w[2:], func(s string) bool { return strings.HasPrefix(s, prefix) })
	}
}

// grows: a number that may get longer.
func grows(r string) bool { return words(r)[0] == "ma" && !flag("D0", "ma")(r) }

// notAFlag: an ms with a flag that cannot be one.
func notAFlag(r string) bool {
	w := words(r)
	return len(w) > 3 && w[0] == "ms" && slices.ContainsFunc(w[3:], func(s string) bool { return !isAlnum(s[0]) })
}

func isAlnum(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' }

func longMode(r string) bool {
	w := words(r)
	return len(w) > 2 && (w[0] == "ms" || w[0] == "ma") &&
		slices.ContainsFunc(w[2:], func(s string) bool { return s[0] == 'M' && len(s) > 2 })
}

func both(f, g func(string) bool) func(string) bool {
	return func(r string) bool { return f(r) && g(r) }
}

func not(f func(string) bool) func(string) bool { return func(r string) bool { return !f(r) } }

func either(fs ...func(string) bool) func(string) bool {
	return func(r string) bool {
		return slices.ContainsFunc(fs, func(f func(string) bool) bool { return f(r) })
	}
}
