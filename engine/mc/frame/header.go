// The header: fields, bytes, and what makes one invalid.

package frame

import (
	"encoding/binary"
	"errors"
)

const (
	Size    = 48 // bytes of a header
	Version = 1  // the version this package writes and reads

	// MaxEpoch is above every epoch there is: they are about the time in Unix milliseconds, and this is the year 2527. A leaf never goes
	// back to an older epoch, so one damaged number would have it refuse its proxies for good.
	MaxEpoch = 1 << 44
)

// Flags of a header.
const (
	FlagAnswer  uint8 = 1 << iota // answers, not requests
	FlagAck                       // only tells Acked: no body, and no answer to it
	FlagRefused                   // nothing more was executed; Reason says why
	FlagTold                      // a Membership, as JSON; no answer to it

	allFlags = FlagAnswer | FlagAck | FlagRefused | FlagTold
)

// Reason says why a frame was refused.
type Reason uint32

// The reasons.
const (
	ReasonInstance   Reason = 1 + iota // the leaf was restarted since the proxy said hello
	ReasonEpoch                        // the proxy's membership is older than the leaf's
	ReasonVersion                      // the leaf does not speak this version
	ReasonExpired                      // no time left when the frame arrived
	ReasonFormat                       // the frame or a request in it is malformed
	ReasonTooLarge                     // the frame is larger than the leaf puts together
	ReasonOverloaded                   // too much is outstanding
)

func (r Reason) String() string {
	names := [...]string{"unknown", "instance", "epoch", "version", "expired", "format", "too large", "overloaded"}
	if int(r) >= len(names) {
		r = 0
	}
	return names[r]
}

// Header is what stands before a body.
type Header struct {
	Flags       uint8
	Part, Parts uint16 // which part this is, and of how many; Parts 0 is written as 1
	Instance    uint64 // the leaf's instance that is meant, or that answers
	ID          uint64 // pairs answers with requests
	Epoch       uint64 // of the membership that the sender goes by, 0: of none; in answers, the leaf's: it executes nothing older any more
	Millis      uint32 // requests: milliseconds left to execute them
	Reason      Reason // refusals: in the place of Millis
	Len         uint32 // bytes of body in this message; set by Put and Append
	Acked       uint64 // bytes of answers (whole messages) that this proxy has received from this leaf on this subject
}

// Why a message is no frame.
var (
	ErrShort   = errors.New("frame: shorter than its header")
	ErrMagic   = errors.New("frame: no frame")
	ErrVersion = errors.New("frame: unknown version")
	ErrFlags   = errors.New("frame: impossible flags")
	ErrEpoch   = errors.New("frame: impossible epoch")
	ErrPart    = errors.New("frame: impossible part number")
	ErrLength  = errors.New("frame: body has not the length that the header says")
	ErrReason  = errors.New("frame: refusal without a known reason")
	ErrParts   = errors.New("frame: too large for 65535 parts")
)

// Append appends header and body.
func (h *Header) Append(dst, body []byte) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, Size)...)
	dst = append(dst, body...)
	h.Put(dst[at:])
	return dst
}

// Put writes the header into the first Size bytes of msg, whose body is in place behind them.
func (h *Header) Put(msg []byte) {
	_ = msg[Size-1]
	le := binary.LittleEndian
	h.Len = uint32(len(msg) - Size)
	if h.Parts == 0 {
		h.Parts = 1
	}
	word := h.Millis
	if h.Flags&FlagRefused != 0 {
		word = uint32(h.Reason)
	}
	msg[0], msg[1], msg[2], msg[3] = 'T', 'P', Version, h.Flags
	le.PutUint16(msg[4:], h.Part)
	le.PutUint16(msg[6:], h.Parts)
	le.PutUint64(msg[8:], h.Instance)
	le.PutUint64(msg[16:], h.ID)
	le.PutUint64(msg[24:], h.Epoch)
	le.PutUint32(msg[32:], word)
	le.PutUint32(msg[36:], h.Len)
	le.PutUint64(msg[40:], h.Acked)
}

// Parse reads msg into h and gives its body, which points into msg. With ErrVersion and every later error h is read
// as far as it goes, so that a refusal can name the frame's ID.
func (h *Header) Parse(msg []byte) (body []byte, err error) {
	*h = Header{}
	switch {
	case len(msg) < 2 || msg[0] != 'T' || msg[1] != 'P':
		return nil, ErrMagic
	case len(msg) < Size:
		return nil, ErrShort
	}
	le := binary.LittleEndian
	h.Flags = msg[3]
	h.Part, h.Parts = le.Uint16(msg[4:]), le.Uint16(msg[6:])
	h.Instance, h.ID, h.Epoch = le.Uint64(msg[8:]), le.Uint64(msg[16:]), le.Uint64(msg[24:])
	word := le.Uint32(msg[32:])
	if h.Flags&FlagRefused != 0 {
		h.Reason = Reason(word)
	} else {
		h.Millis = word
	}
	h.Len, h.Acked = le.Uint32(msg[36:]), le.Uint64(msg[40:])
	body = msg[Size:]
	if err := h.check(msg[2], len(body)); err != nil {
		return nil, err
	}
	return body, nil
}

func (h *Header) check(version byte, body int) error {
	switch {
	case version != Version:
		return ErrVersion
	case h.Flags&^allFlags != 0,
		h.Flags&FlagAck != 0 && h.Flags != FlagAck,
		h.Flags&FlagTold != 0 && h.Flags != FlagTold,
		h.Flags&FlagRefused != 0 && h.Flags&FlagAnswer == 0:
		return ErrFlags
	case h.Epoch > MaxEpoch:
		return ErrEpoch
	case h.Parts == 0 || h.Part >= h.Parts, h.Parts > 1 && h.Flags&(FlagAck|FlagRefused|FlagTold) != 0:
		return ErrPart
	case uint64(h.Len) != uint64(body), body > 0 && h.Flags&(FlagAck|FlagRefused) != 0:
		return ErrLength
	case h.Flags&FlagRefused != 0 && (h.Reason == 0 || h.Reason > ReasonOverloaded):
		return ErrReason
	}
	return nil
}
