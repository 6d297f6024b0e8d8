// What a client writes.

package natswire

import "bytes"

// Sent is a command of a client.
type Sent struct {
	Verb    Verb
	Subject []byte // of Pub and Sub
	Reply   []byte // of Pub; nil: none
	SID     []byte // of Sub and Unsub
	Plain   bool   // Sub is of no queue group
	Size    int    // of Pub and Hpub: bytes of the payload, headers included and End not
}

// Verb is what a command is.
type Verb int

const (
	Other Verb = iota // CONNECT, PING, PONG
	Pub
	Hpub
	Sub
	Unsub
)

// SentLine is the longest line that CutSent waits for the end of: nats-server takes 4 KiB, unless it is told otherwise.
const SentLine = 64 << 10

// CutSent says how long the line at the start of b is, of a command of a client, and what the command is; a payload follows. need > 0: the line is not whole before b has
// so many bytes. n and need 0: it cannot be told, which is said of what clients hardly write, though nats-server may read it.
func CutSent(b []byte) (s Sent, n, need int) {
	end := bytes.IndexByte(b[:min(len(b), SentLine)], '\n')
	switch {
	case end < 0 && len(b) >= SentLine:
		return s, 0, 0
	case end < 0:
		return s, 0, len(b) + 1
	}
	var words [5][]byte
	all := bytes.TrimSuffix(b[:end], []byte("\r"))
	verb, rest := word(all)
	switch string(verb) {
	case "PUB":
		s.Verb = Pub
	case "HPUB":
		s.Verb = Hpub
	case "SUB":
		s.Verb = Sub
	case "UNSUB":
		s.Verb = Unsub
	case "PING", "PONG":
		return s, end + 1, 0
	case "CONNECT": // without more nats-server goes on to the next line
		if len(rest) == 0 {
			return s, 0, 0
		}
		return s, end + 1, 0
	default:
		return s, 0, 0
	}
	if bytes.IndexByte(all, '\r') >= 0 { // nats-server takes that for the end, or for a space
		return Sent{}, 0, 0
	}
	count := 0
	for ; len(rest) > 0; count++ {
		if count == len(words) {
			return Sent{}, 0, 0
		}
		words[count], rest = word(rest)
	}
	ok := true
	switch s.Verb {
	case Pub: // subject, reply if there is one, size
		if ok = count == 2 || count == 3; ok {
			s.Subject = words[0]
			s.Size, ok = size(words[count-1])
		}
		if count == 3 {
			s.Reply = words[1]
		}
	case Hpub: // as Pub, with the size of headers before the size of all
		if ok = count == 3 || count == 4; ok {
			s.Subject = words[0]
			s.Size, ok = size(words[count-1])
		}
	case Sub: // subject, queue group if there is one, number of the subscription
		if ok = count == 2 || count == 3; ok {
			s.Subject, s.SID, s.Plain = words[0], words[count-1], count == 2
		}
	case Unsub: // number of the subscription, and after how many messages, if not at once
		if ok = count == 1 || count == 2; ok {
			s.SID = words[0]
		}
	}
	if !ok {
		return Sent{}, 0, 0
	}
	return s, end + 1, 0
}

// size reads the length of a payload. nats-server takes nine digits at most.
func size(s []byte) (n int, ok bool) {
	if len(s) > 9 {
		return 0, false
	}
	return number(s)
}

// word takes the first word off a line, and the space around it. Clients may write two spaces where a word could be.
func word(line []byte) (first, rest []byte) {
	line = bytes.TrimLeft(line, " \t")
	end := bytes.IndexAny(line, " \t")
	if end < 0 {
		return line, nil
	}
	return line[:end], bytes.TrimLeft(line[end:], " \t")
}
