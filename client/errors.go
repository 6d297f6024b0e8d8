// What can go wrong, and how an answer says so.

package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/face/wire"
)

// What callers decide by, with errors.Is. The first three are outcomes, returned as they are; the others are wrapped in what was
// attempted. The error of a context that has ended is there, too (context.Canceled, context.DeadlineExceeded).
var (
	ErrMiss      = errors.New("miss")           // there is no such item
	ErrNotStored = errors.New("not stored")     // Add: there is one already; Replace: there is none
	ErrExists    = errors.New("changed by now") // CAS, DelCAS: the item is not the one that was read

	ErrTooLarge    = errors.New("too large")   // for the cache, or for a message of this NATS system
	ErrBusy        = errors.New("busy")        // the proxy has too much under way; nothing was done
	ErrUnavailable = errors.New("unavailable") // no proxy, no leaf behind it, or no answer in time; a write may have happened
	ErrBadRequest  = errors.New("bad request") // cannot be meant: an empty key, counting in what is no number ...
	ErrServer      = errors.New("server error")
)

// AnswerError is an error that a proxy answered with. Unwrap gives one of the sentinels.
type AnswerError struct {
	Code int    // as docs/nats.md lists them
	Text string // in memcached's words: "SERVER_ERROR backend failure"
}

func (e *AnswerError) Error() string { return e.Text }

// Unwrap says which kind of error it is.
func (e *AnswerError) Unwrap() error {
	switch e.Code {
	case wire.CodeBadRequest:
		return ErrBadRequest
	case wire.CodeTooLarge:
		return ErrTooLarge
	case wire.CodeBusy:
		return ErrBusy
	case wire.CodeUnavailable:
		return ErrUnavailable
	}
	return ErrServer
}

// outcome is the error of an answer; nil for the statuses that are wanted.
func outcome(m *nats.Msg, want string) error {
	switch status := m.Header.Get(wire.Status); status {
	case want:
		return nil
	case wire.StatusMiss:
		return ErrMiss
	case wire.StatusNotStored:
		return ErrNotStored
	case wire.StatusExists:
		return ErrExists
	case wire.StatusError:
		code, err := strconv.Atoi(m.Header.Get(wire.ErrorCode))
		if err != nil {
			code = wire.CodeServer
		}
		return &AnswerError{code, m.Header.Get(wire.Error)}
	default:
		return fmt.Errorf("%w: the answer has status %q, want %q: is it a proxy that serves there?", ErrServer, status, want)
	}
}

// failure says what an error of NATS means. ctx is the caller's: if that has ended, nothing else is to blame.
func (c *Client) failure(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case c.ctx.Err() != nil, errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("%w: %w", ErrUnavailable, errClosed)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("%w: no answer within %s", ErrUnavailable, c.o.Timeout.Round(time.Millisecond))
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: no proxy serves %q", ErrUnavailable, c.o.Prefix+".>")
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: NATS's max_payload is %d", ErrTooLarge, c.nc.MaxPayload())
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// tell names what was attempted, unless the error is an outcome.
func tell(op, key string, err error) error {
	switch err {
	case nil, ErrMiss, ErrNotStored, ErrExists:
		return err
	}
	const most = 80
	if len(key) > most {
		key = key[:most] + "..."
	}
	return fmt.Errorf("cannot %s %q: %w", op, key, err)
}
