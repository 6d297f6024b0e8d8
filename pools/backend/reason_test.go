package backend

import (
	"errors"
	"fmt"
	"testing"
)

// TestReasons: the narrowest word for each error.
func TestReasons(t *testing.T) {
	for want, err := range map[string]error{
		"timeout": ErrTimeout, "down": ErrDown, "disconnected": fmt.Errorf("%w (broken pipe)", ErrDisconnected), "protocol": ErrProtocol,
		"overloaded": ErrOverloaded, "no_backend": ErrNoBackend, "closed": ErrClosed, "refused": ErrRefused,
		"fence": ErrFence, "outdated": errors.Join(ErrOutdated, ErrTimeout), "other": errors.New("what nobody has thought of"),
	} {
		if got := ReasonOf(err).String(); got != want {
			t.Errorf("%v is counted as %q, want %q", err, got, want)
		}
	}
}
