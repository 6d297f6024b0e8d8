// Reasons: why requests were not answered, in one word, for counting.

package backend

import "errors"

// Reason is why a request was not answered.
type Reason uint8

const (
	reasonOther Reason = iota
	reasonFence
	reasonOutdated
	reasonTimeout
	reasonDown
	reasonDisconnected
	reasonProtocol
	reasonOverloaded
	reasonNoBackend
	reasonClosed
	reasonRefused
	NumReasons
)

// reasons are what each goes by, and how it is called; a narrower one comes before what it wraps.
var reasons = [NumReasons]struct {
	err  error
	name string
}{
	{nil, "other"}, {ErrFence, "fence"}, {ErrOutdated, "outdated"}, {ErrTimeout, "timeout"}, {ErrDown, "down"}, {ErrDisconnected, "disconnected"},
	{ErrProtocol, "protocol"}, {ErrOverloaded, "overloaded"}, {ErrNoBackend, "no_backend"}, {ErrClosed, "closed"}, {ErrRefused, "refused"},
}

// ReasonOf gives the reason that a Pending's Err is.
func ReasonOf(err error) Reason {
	for r := reasonOther + 1; r < NumReasons; r++ {
		if errors.Is(err, reasons[r].err) {
			return r
		}
	}
	return reasonOther
}

// String is the word for it, a metric's label.
func (r Reason) String() string { return reasons[r].name }
