// Streams: connections that are only written to, because their clients asked to watch.

package server

import (
	"errors"
	"io"
	"os"
	"time"
)

// Stream is an error that Session.Serve returns to make its connection a stream: when Out has been written, Run is called, and
// when it returns the connection ends. What the client still sends is thrown away.
//
// gone is closed when the client has gone or the server stops; a Write that waits then fails. Nothing else ends a Write: a
// client may take its time, and time limits of the server do not hold.
type Stream struct {
	Run func(w io.Writer, gone <-chan struct{})
}

func (*Stream) Error() string { return "the connection becomes a stream" }

// runStream runs the stream in the connection's goroutine, while another waits for the client to go. It says why it ended.
func (c *conn) runStream() error {
	c.streaming.Store(true)
	c.giveBuffer()
	c.srv.putBatch(c.batch)
	c.batch = nil
	c.nc.SetReadDeadline(time.Time{}) // a nudge that comes before this is seen in the flags
	c.nc.SetWriteDeadline(time.Time{})
	why := errGone
	gone, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		why = c.awaitEnd()
		close(gone)
		c.nc.SetWriteDeadline(past)
	}()
	c.stream.Run(streamWriter{c}, gone)
	c.streaming.Store(false) // before the deadline: awaitEnd looks after it has taken one away
	c.nc.SetReadDeadline(past)
	<-ended
	return why
}

// awaitEnd reads until the client has gone, the server stops or the stream has ended.
func (c *conn) awaitEnd() error {
	var b [256]byte
	for {
		switch {
		case c.srv.stopping.Load():
			return errStop
		case !c.streaming.Load():
			return errGone
		}
		n, err := c.nc.Read(b[:])
		c.read.Store(c.read.Load() + uint64(n))
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return errGone
		}
		c.nc.SetReadDeadline(time.Time{}) // a nudge
	}
}

// streamWriter writes to a stream's client, however long it takes.
type streamWriter struct{ c *conn }

func (w streamWriter) Write(p []byte) (int, error) {
	n, err := w.c.nc.Write(p)
	w.c.written.Store(w.c.written.Load() + uint64(n))
	return n, err
}
