// A batch: requests that arrived together, and their answers.

package server

import (
	"fmt"
	"io"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// maxKeepOut is the largest answer buffer that a pooled Batch keeps, in bytes.
const maxKeepOut = 64 << 10

// Batch is what a connection had read: up to MaxBatch requests, in order. A session appends their answers, in the same
// order, to Out. Only the connection's goroutine uses a Batch, and only while Serve runs.
type Batch struct {
	Rules mc.Rules     // what Reqs were parsed with
	Reqs  []mc.Request // in the order they arrived; those with Bad set are answered with mc.AnswerBad
	Out   []byte       // answers so far; the session appends

	// Counted is set by a session that counts what is in Out, or most of it, against MaxBuffered itself: while the client does not take it, it
	// does not count once more.
	Counted bool

	// Each, if set, is given every answer as soon as it is there, in any order, in place of all of them in Out: i is the
	// request's place in Reqs, none of which may have several keys. The answer is the session's again when Each returns. For
	// callers whose requests have nothing to do with each other; a connection has none.
	Each func(i int, answer []byte)

	w   io.Writer // where Flush writes; the connection
	err error     // of Append
}

// NewBatch makes a batch for callers that have no connection (tests, offline tools). Flush writes to w.
func NewBatch(w io.Writer) *Batch { return &Batch{w: w} }

// Flush writes Out now and empties it. Sessions call it when the first answers are ready and the rest is slow, or when Out has
// grown large (64 KiB is a good measure): Out is the one buffer that the server cannot limit. An
// error means that the client is gone: Serve should give up and return it.
func (b *Batch) Flush() error {
	if b.err != nil {
		return b.err
	}
	if len(b.Out) == 0 {
		return nil
	}
	_, err := b.w.Write(b.Out)
	b.Out = b.Out[:0]
	if err != nil {
		return fmt.Errorf("cannot write answers: %w", err)
	}
	return nil
}

const (
	// direct is the length in bytes from which copying an answer into Out costs more than a write of its own.
	direct = 64 << 10
	// directAlone is the same for an answer that would be all that is written.
	directAlone = 1 << 10
)

// Append appends p to Out, or, where p is large and has not to go through Each, writes Out and then p. last says that the batch has no
// answer after it. What a write fails with is what Flush returns from then on.
func (b *Batch) Append(p []byte, last bool) {
	alone := last && len(b.Out) == 0
	if b.Each != nil || len(p) < direct && (!alone || len(p) < directAlone) {
		b.Out = append(b.Out, p...)
		return
	}
	if b.err = b.Flush(); b.err != nil {
		return
	}
	if _, err := b.w.Write(p); err != nil {
		b.err = fmt.Errorf("cannot write an answer: %w", err)
	}
}

// next lengthens Reqs by one and returns the new last request, whose old contents the parser overwrites.
func (b *Batch) next() *mc.Request {
	if n := len(b.Reqs); n < cap(b.Reqs) {
		b.Reqs = b.Reqs[:n+1]
	} else {
		b.Reqs = append(b.Reqs, mc.Request{})
	}
	return &b.Reqs[len(b.Reqs)-1]
}

// getBatch takes a batch from the pool for the connection behind w.
func (s *Server) getBatch(w io.Writer) *Batch {
	b := s.batches.Get().(*Batch)
	b.w = w
	return b
}

// putBatch empties b and gives it back.
func (s *Server) putBatch(b *Batch) {
	b.Reqs, b.w, b.err = b.Reqs[:0], nil, nil
	b.Out = b.Out[:0]
	if cap(b.Out) > maxKeepOut {
		b.Out = nil
	}
	s.batches.Put(b)
}
