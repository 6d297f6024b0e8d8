// Package wire is what both ends of the NATS face agree upon: names of headers, statuses, codes of errors, and how a key becomes a
// subject. docs/nats.md says the same for people.
//
// engine/face and client call it, and whoever else wants to speak to a proxy over NATS may. It is names and pure functions: all of
// it may be used concurrently.
package wire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// DefaultPrefix is what subjects begin with unless a proxy was told otherwise.
const DefaultPrefix = "cache"

// Queue is the queue group: each request goes to one of the proxies that serve a prefix.
const Queue = "tidepool"

// The headers of a request. Names are compared without regard to case; headers with other names are not looked at.
const (
	Op      = "op"      // one of Ops; wanted
	Key     = "key"     // the key in base64, if it does not fit into a subject
	Flags   = "flags"   // 0 to 4294967295; also of an answer, where it is not 0
	TTL     = "ttl"     // seconds from now; 0: never expires; also of an answer: seconds left, missing if it never expires
	CAS     = "cas"     // the number that a hit came with; also of an answer
	Initial = "initial" // of incr and decr: the value to begin with, in place of a miss
)

// The headers that only an answer has.
const (
	Status    = "status"                  // one of the statuses
	Stale     = "stale"                   // a hit that was invalidated: Won or Lost
	Error     = "Nats-Service-Error"      // with StatusError: what is wrong, in memcached's words; the name is that of NATS's services
	ErrorCode = "Nats-Service-Error-Code" // one of the codes
)

// The operations.
const (
	OpGet     = "get"
	OpSet     = "set"
	OpAdd     = "add"
	OpReplace = "replace"
	OpCAS     = "cas"
	OpDel     = "del"
	OpIncr    = "incr"
	OpDecr    = "decr"
	OpTouch   = "touch"
)

// Ops are all operations.
var Ops = [...]string{OpGet, OpSet, OpAdd, OpReplace, OpCAS, OpDel, OpIncr, OpDecr, OpTouch}

// The statuses. What is not there is always StatusMiss, whatever was asked.
const (
	StatusHit       = "hit"        // get: the payload is the value
	StatusMiss      = "miss"       // there is no such item
	StatusStored    = "stored"     // set, add, replace, cas; incr and decr: the payload is the number
	StatusNotStored = "not-stored" // add: there is one already; replace: there is none
	StatusExists    = "exists"     // cas, del with cas: the item has changed
	StatusDeleted   = "deleted"
	StatusTouched   = "touched"
	StatusError     = "error"
)

// Statuses are all of them.
var Statuses = [...]string{StatusHit, StatusMiss, StatusStored, StatusNotStored, StatusExists, StatusDeleted, StatusTouched, StatusError}

// What Stale says: Won for the first who was told, who is to store anew; Lost for all others.
const (
	Won  = "won"
	Lost = "lost"
)

// The codes of errors, as HTTP has them.
const (
	CodeBadRequest  = 400 // the request cannot be meant
	CodeTooLarge    = 413 // of a value, on its way in or out
	CodeBusy        = 429 // too much is under way: try later
	CodeServer      = 500 // a route failed
	CodeUnavailable = 503 // the leaf or server behind the proxy cannot be had
)

// MaxKey is the longest key in bytes. One with spaces or control bytes travels on in base64, in which it must not be longer either:
// that is 186 bytes of it.
const MaxKey = 250

// MaxRelative is the longest TTL, in seconds, that memcached takes for one; a larger number means a date to it.
const MaxRelative = 30 * 24 * 60 * 60

// KeyInHeader is the last token of the subject of a request whose key is in the header.
const KeyInHeader = "_"

// What is wrong with a key or a prefix.
var (
	ErrNoKey    = errors.New("the key is empty")
	ErrLongKey  = fmt.Errorf("the key is longer than %d bytes", MaxKey)
	ErrLongCode = fmt.Errorf("the key has spaces or control bytes and is longer than %d bytes in base64", MaxKey)
)

// Plain reports whether a key can be a token of a subject: [A-Za-z0-9_-]+.
func Plain(key string) bool {
	for i := range len(key) {
		switch c := key[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return key != ""
}

// Text reports whether a key can be written in memcached's protocol as it is: no spaces and no control bytes.
func Text[T string | []byte](key T) bool {
	for i := range len(key) {
		if c := key[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return len(key) > 0
}

// CheckKey says whether a key can be asked for.
func CheckKey[T string | []byte](key T) error {
	switch {
	case len(key) == 0:
		return ErrNoKey
	case len(key) > MaxKey:
		return ErrLongKey
	case !Text(key) && base64.StdEncoding.EncodedLen(len(key)) > MaxKey:
		return ErrLongCode
	}
	return nil
}

// Subject gives where to send a request for a key, and the value of its Key header; "" for none.
func Subject(prefix, key string) (subject, header string) {
	if Plain(key) {
		return prefix + "." + key, ""
	}
	return prefix + "." + KeyInHeader, base64.StdEncoding.EncodeToString([]byte(key))
}

// CheckPrefix says whether subjects may begin so: tokens without wildcards, none of which is NATS's own or that of leaves.
func CheckPrefix(prefix string) error {
	for token := range strings.SplitSeq(prefix, ".") {
		switch {
		case token == "":
			return fmt.Errorf("prefix %q has an empty token", prefix)
		case strings.ContainsAny(token, "*> \t\r\n"):
			return fmt.Errorf("prefix %q has a wildcard or a space", prefix)
		}
	}
	first, _, _ := strings.Cut(prefix, ".")
	if first == "tp" || first == "_INBOX" || strings.HasPrefix(first, "$") {
		return fmt.Errorf("prefix %q begins with %q, which has another meaning", prefix, first)
	}
	return nil
}
