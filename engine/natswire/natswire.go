// Package natswire is the little of the NATS client protocol that is read and written past nats.go: where a message begins and ends, and how one is published.
//
// Whoever sits on a connection between nats.go and a server uses it: the leaf on the server's side, the proxy on nats.go's. Functions may be called concurrently; what they
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
// has so many bytes. n and need 0: it cannot be told. (A line, and after MSG and HMSG a payload of the length that the line ends with.)
func Cut(b []byte) (m Msg, n, need int) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 {
		return m, 0, len(b) + 1
	}
	line := bytes.TrimSuffix(b[:end], []byte("\r"))
	n = end + 1
	plain := bytes.HasPrefix(line, []byte("MSG "))
	if !plain && !bytes.HasPrefix(line, []byte("HMSG ")) {
		return m, n, 0
	}
	size, ok := 0, false
	last := bytes.LastIndexByte(line, ' ')
	for _, c := range line[last+1:] {
		if c < '0' || c > '9' || size > 1<<30 {
			return m, 0, 0
		}
		size, ok = size*10+int(c-'0'), true
	}
	if !ok || last < len("MSG ") {
		return m, 0, 0
	}
	if n += size + len(End); len(b) < n {
		return m, 0, n
	}
	if plain {
		m.Data = b[end+1 : end+1+size]
		m.Subject, line, _ = bytes.Cut(line[len("MSG "):last], []byte(" "))
		_, m.Reply, _ = bytes.Cut(line, []byte(" ")) // behind the subscription's number
	}
	return m, n, 0
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
