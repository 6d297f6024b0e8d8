// Package natswire is the little of the NATS client protocol that is read and written past nats.go and nats-server: where a message begins and ends, and how one is
// published and delivered.
//
// Whoever sits on a connection between the two uses it: the leaf on the server's side, the proxy on nats.go's. A Sieve reads such a connection and takes messages off,
// an Edge knows where something may be put between what is written. Functions may be called concurrently; what they
// give lies in what they were given. (The protocol: https://docs.nats.io/reference/reference-protocols/nats-protocol.)
package natswire

import (
	"bytes"
	"strconv"
)

// End ends every line and every payload.
const End = "\r\n"

// Msg is a message that a server delivers, without headers.
type Msg struct{ Subject, Reply, Data []byte }

// Cut says how long what stands at the start of b is, and what, if it is a message without headers; else m has no Subject. need > 0: it is not whole before b
// has so many bytes. n and need 0: it cannot be told, which is said of all that nats-server would not write, though others may read it.
func Cut(b []byte) (m Msg, n, need int) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return m, 0, len(b) + 1
	}
	line := bytes.TrimSuffix(b[:end], []byte("\r"))
	verb, rest, _ := bytes.Cut(line, []byte(" "))
	switch string(verb) {
	case "MSG", "HMSG": // subject, number of the subscription, reply if there is one, how long the headers are if there are any, how long all is
	case "INFO", "PING", "PONG", "+OK", "-ERR":
		return m, end + 1, 0
	default:
		return m, 0, 0
	}
	var words [5][]byte
	count := 0
	for more := true; more; count++ {
		if count == len(words) {
			return m, 0, 0
		}
		if words[count], rest, more = bytes.Cut(rest, []byte(" ")); len(words[count]) == 0 {
			return m, 0, 0
		}
	}
	headers := 0
	if len(verb) == len("HMSG") {
		headers = 1
	}
	size, ok := number(words[count-1])
	if count -= headers; count < 3 || count > 4 || !ok {
		return m, 0, 0
	}
	if n = end + 1 + size + len(End); len(b) < n {
		return m, 0, n
	}
	if headers == 0 {
		m = Msg{Subject: words[0], Data: b[end+1 : end+1+size]}
		if count == 4 {
			m.Reply = words[2]
		}
	}
	return m, n, 0
}

// number reads a decimal number up to some 10^10.
func number(s []byte) (n int, ok bool) {
	for _, c := range s {
		if c < '0' || c > '9' || n > 1<<30 {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, len(s) > 0
}

// AppendPub appends the line before a payload of size bytes that is published, after which End is due. A reply of "": none.
func AppendPub(dst []byte, subject, reply string, size int) []byte {
	dst = append(append(dst, "PUB "...), subject...)
	if reply != "" {
		dst = append(append(dst, ' '), reply...)
	}
	dst = strconv.AppendInt(append(dst, ' '), int64(size), 10)
	return append(dst, End...)
}

// AppendMsg appends the line before a payload of size bytes that is delivered to a subscription, after which End is due.
func AppendMsg(dst []byte, subject, sid string, size int) []byte {
	dst = append(append(dst, "MSG "...), subject...)
	dst = append(append(dst, ' '), sid...)
	dst = strconv.AppendInt(append(dst, ' '), int64(size), 10)
	return append(dst, End...)
}
