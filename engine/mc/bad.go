// Why a request could not be parsed, and what the client is told.

package mc

import "encoding/binary"

// Bad says why a request could not be parsed.
type Bad uint8

// The kinds of malformed request. What each says to the client is in badLine.
const (
	BadNone     Bad = iota // parsed
	BadCommand             // core rules: a word that is no command
	BadUnknown             // routed: a word that is no command; closes without an answer
	BadFormat              // too few tokens, a length that is no length, a flag that is no letter
	BadStore               // a line with a zero byte, or a set whose flags, exptime or cas is no number; only CheckWire finds it
	BadKey                 // a key over 250 bytes (core: any key of the command; on a route found by CheckWire)
	BadKeyLong             // routed: one key of several over 250 bytes; only SubGet finds it
	BadPrefix              // routed: over 20 bytes stand before the first of several keys
	BadFlags               // more than 20 tokens in a meta command, 19 in an ms that travels (found by CheckWire)
	BadChunk               // the value does not end in CRLF
	BadTooLarge            // a value over Rules.MaxValue; swallowed. Cmd and Key are set: a set drops the old item
	BadLong                // a request over 500 bytes on a route, or a key list over Rules.MaxLine; closes
	BadLine                // no line end within 1024 (routed) or 2048 bytes; closes without an answer
	BadHTTP                // core rules: a web browser; closes without an answer
	BadBinary              // the binary protocol; closes
	numBad
)

// badLine is the answer for each kind: under core rules and on a route.
var badLine = [numBad][2]string{
	BadCommand:  {"ERROR\r\n", "ERROR\r\n"},
	BadFormat:   {"CLIENT_ERROR bad command line format\r\n", "CLIENT_ERROR parsing request\r\n"},
	BadStore:    {"CLIENT_ERROR bad command line format\r\n", "CLIENT_ERROR bad command line format\r\n"},
	BadKey:      {"CLIENT_ERROR bad command line format\r\n", "CLIENT_ERROR bad command line format\r\n"},
	BadKeyLong:  {"CLIENT_ERROR key too long\r\n", "CLIENT_ERROR key too long\r\n"},
	BadPrefix:   {"CLIENT_ERROR malformed request\r\n", "CLIENT_ERROR malformed request\r\n"},
	BadFlags:    {"CLIENT_ERROR options flags are too long\r\n", "CLIENT_ERROR options flags are too long\r\n"},
	BadChunk:    {"CLIENT_ERROR bad data chunk\r\n", "CLIENT_ERROR bad data chunk\r\n"},
	BadTooLarge: {"SERVER_ERROR object too large for cache\r\n", "SERVER_ERROR object too large for cache\r\n"},
	BadLong:     {"CLIENT_ERROR request too long\r\n", "CLIENT_ERROR request too long\r\n"},
}

const binaryText = "the binary protocol is not spoken here, use the text or meta protocol"

// Closes reports whether the connection is closed after the answer.
func (b Bad) Closes() bool {
	switch b {
	case BadUnknown, BadLong, BadLine, BadHTTP, BadBinary:
		return true
	}
	return false
}

// AnswerBad appends the answer for a request with r.Bad set; nothing for the kinds that close in silence, and under
// core rules for a text command with noreply (memcached is silent about its errors too). Memcached's proxy is not silent, but a value that is
// too large is none of its errors.
func AnswerBad(dst []byte, r *Request, rules *Rules) []byte {
	switch {
	case r.Bad >= numBad:
		return dst
	case r.Bad == BadBinary:
		return appendBinaryError(dst, r.Line)
	case rules.Routed && r.Bad != BadTooLarge:
		return append(dst, badLine[r.Bad][1]...)
	case r.NoReply && !r.Cmd.IsMeta():
		return dst
	}
	return append(dst, badLine[r.Bad][0]...)
}

// appendBinaryError answers a binary client in its own protocol (status 0x81, unknown command) so that it can show
// the text. Without a whole header in head, a text line must do.
func appendBinaryError(dst, head []byte) []byte {
	if len(head) < binaryHeader {
		return append(append(append(dst, "CLIENT_ERROR "...), binaryText...), "\r\n"...)
	}
	var h [binaryHeader]byte
	h[0], h[1] = 0x81, head[1]              // response, the opcode asked for
	h[7] = 0x81                             // status, low byte
	h[11] = byte(len(binaryText))           // body length, low byte
	copy(h[12:16], head[12:16])             // opaque
	binary.BigEndian.PutUint64(h[16:24], 0) // cas
	return append(append(dst, h[:]...), binaryText...)
}
