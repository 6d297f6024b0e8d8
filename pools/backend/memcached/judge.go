// Whether an answer can be the answer to a request.

package memcached

import (
	"bytes"
	"encoding/base64"
	"errors"
	"regexp"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/pools/hash"
)

// A Pending's Note while a connection has it: what its answer must look like. The upper bits are a hash of the key.
const (
	noteGet    = 1 << iota // VALUE or END; VALUE carries the key
	noteMeta               // a two-letter code
	noteStore              // STORED and its like
	noteDelete             // DELETED
	noteTouch              // TOUCHED
	noteCount              // a number
	noteOK                 // OK
	noteKey                // meta with flag k: the answer carries the key
	noteData               // the request had a data block
	noteJoined             // it was joined to the one before it: see join.go
	noteTrial              // a key was joined to it to see what the server makes of that
	noteBits   = 11

	noteFound = noteStore | noteDelete | noteTouch | noteCount // whose answer may be NOT_FOUND
	noteAny   = noteGet | noteMeta | noteFound | noteOK
)

// noteFor makes the note of r, or reports false if r may not travel: commands that are not sent to backends, gets of
// several keys, lines that a backend would read differently than we do.
func noteFor(r *mc.Request) (note uint64, ok bool) {
	switch r.Cmd {
	case mc.CmdMG, mc.CmdMS, mc.CmdMD, mc.CmdMN, mc.CmdMA, mc.CmdME:
		note = noteMeta
		if r.HasFlag('k') && !r.Base64 { // a server may encode the same key in another way
			note |= noteKey
		}
	case mc.CmdGet, mc.CmdGets, mc.CmdGat, mc.CmdGats:
		note = noteGet
	case mc.CmdSet, mc.CmdAdd, mc.CmdCas, mc.CmdAppend, mc.CmdReplace, mc.CmdPrepend:
		note = noteStore
	case mc.CmdDelete:
		note = noteDelete
	case mc.CmdTouch:
		note = noteTouch
	case mc.CmdIncr, mc.CmdDecr:
		note = noteCount
	case mc.CmdFlushAll, mc.CmdVerbosity:
		note = noteOK
	default:
		return 0, false
	}
	if mc.CheckWire(r) != mc.BadNone {
		return 0, false
	}
	if r.Value != nil {
		note |= noteData
	}
	if note&(noteGet|noteKey) != 0 {
		note |= keyNote(r.Key)
	}
	return note, true
}

func keyNote(key []byte) uint64 { return hash.XXH3(key, 0) << noteBits }

var (
	errClass     = errors.New("answer to another kind of request")
	errKey       = errors.New("answer for another key")
	errUnhandled = errors.New("answer that no request has")
)

// judge is what the options, and the server that has greeted, make of judge.
func (c *conn) judge(note uint64, r *mc.Response) (backend.EventKind, error) {
	kind, err := judge(note, r)
	switch {
	case err == errKey && c.b.o.AnyKey && !r.HasValue():
		return "", nil
	case err == nil && kind != "" && c.swallows && note&(noteMeta|noteData) == noteMeta|noteData && refusals[complaint(r)]:
		return "", nil
	}
	return kind, err
}

// judge says what r means for the connection if it comes in the place of the answer to the request of note. With an error
// it is not that request's answer and the connection is ended; with a kind alone it is delivered and the connection is ended.
func judge(note uint64, r *mc.Response) (backend.EventKind, error) {
	class := classOf(r)
	switch {
	case class == 0:
		return backend.EventUnhandledRes, errUnhandled
	case note&class == 0:
		return backend.EventInvalidProtocol, errClass
	case r.Code == mc.CodeError, r.Code == mc.CodeClientError && !harmless(note, r):
		return backend.EventInvalidProtocol, nil
	case note&noteKey == 0 && r.Type != mc.TypeGet:
		return "", nil
	}
	if key := keyOf(r); key != nil && keyNote(key) != note>>noteBits<<noteBits {
		return backend.EventInvalidProtocol, errKey
	}
	return "", nil
}

// keyOf is the key that r carries. That of an item which was stored by a key in base64 memcached tells in base64, with flag b, to those too who
// asked by the plain key.
func keyOf(r *mc.Response) []byte {
	key := r.Key()
	if r.Type != mc.TypeMeta {
		return key
	}
	if _, encoded := r.Flag('b'); !encoded {
		return key
	}
	plain, err := base64.StdEncoding.DecodeString(string(key))
	if err != nil {
		return []byte{} // a key that nobody has asked for
	}
	return plain
}

// classOf gives the notes that an answer can belong to, 0 for none.
func classOf(r *mc.Response) uint64 {
	switch r.Type {
	case mc.TypeGet, mc.TypeEnd:
		return noteGet
	case mc.TypeMeta:
		return noteMeta
	case mc.TypeNumeric:
		return noteCount
	case mc.TypeGeneric:
		switch r.Code {
		case mc.CodeStored, mc.CodeNotStored, mc.CodeExists:
			return noteStore
		case mc.CodeDeleted:
			return noteDelete
		case mc.CodeTouched:
			return noteTouch
		case mc.CodeNotFound:
			return noteFound
		case mc.CodeOK: // old servers answer meta commands with it, too
			return noteOK | noteMeta
		}
	case mc.TypeErrMsg:
		return noteAny
	}
	return 0
}

// harmless reports a CLIENT_ERROR that leaves the connection in step: memcached read one whole line, disliked one of its
// arguments and answered. Upstream closes after these too; but any client can provoke them (incr of a word), and the
// requests of all the others on the connection would fail with it. After a request with a data block nothing is sure, but
// with a memcached of which it is known.
func harmless(note uint64, r *mc.Response) bool {
	text := complaint(r)
	return note&noteData == 0 && (complaints[text] || note&noteMeta != 0 && refusals[text])
}

// complaint is what stands after "CLIENT_ERROR ".
func complaint(r *mc.Response) string {
	return string(bytes.TrimPrefix(r.Text(), []byte("CLIENT_ERROR ")))
}

// complaints are memcached's own.
var complaints = map[string]bool{
	"cannot increment or decrement non-numeric value":         true,
	"invalid numeric delta argument":                          true,
	"invalid exptime argument":                                true,
	"invalid or duplicate flag":                               true,
	"invalid mode for ma M token":                             true,
	"options flags are too long":                              true,
	"options flags too long":                                  true,
	"bad command line format.  Usage: delete <key> [noreply]": true,
}

// refusals are those of meta commands that may be ms, whose data a memcached that swallows has read all the same. It does not for a line
// without a length, with a key that is too long or with 20 tokens and more; none of these is ever sent.
var refusals = map[string]bool{
	"invalid flag":                     true,
	"duplicate flag":                   true,
	"invalid mode for ms M token":      true,
	"incorrect length for M token":     true,
	"invalid numeric delta value":      true,
	"invalid numeric initial value":    true,
	"bad token in command line format": true,
	"opaque token too long":            true,
	"error decoding key":               true,
	"bad command line format":          true,
}

// swallowing is the greeting of memcached from 1.6.10 on, which knows the length of an ms before it looks at its flags. Others that speak its
// protocol add a word or have another number.
var swallowing = regexp.MustCompile(`^VERSION 1\.6\.[1-9][0-9]+(_[0-9]+_g[0-9a-f]+)?(-dirty)?\r?\n$`)
