// When an heir has what was kept for it.

package leaf

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/leaf/stream"
)

// What has been sent is not handed over before the heir has acknowledged the last byte, and never if it goes first.
func TestHandedOverWhenTaken(t *testing.T) {
	for name, takes := range map[string]bool{"takes all": true, "goes": false} {
		t.Run(name, func(t *testing.T) {
			l := start(t, Options{})
			l.streams.mu.Lock() // nothing runs at this moment
			l.streams.times = streamTimes{beat: 10 * time.Millisecond, silent: time.Hour, stuck: time.Hour}
			l.streams.mu.Unlock()
			handed := func() bool {
				l.handed.mu.Lock()
				defer l.handed.mu.Unlock()
				_, ok := l.handed.to["leaf-9"]
				return ok
			}
			p := dial(t, l)
			h := p.begin(`{"mode":"items","past":{"epoch":0,"heir":"leaf-9"}}`)
			var body string
			for body == "" {
				_, body = p.next()
			}
			if body != "EN\r\n" {
				t.Fatalf("%q", body)
			}
			var beat frame.Header
			if beat, body = p.next(); body != "" || beat.ID != h.ID || handed() {
				t.Errorf("after the last word came %q, handed over: %v; want a sign of life, for it waits", body, handed())
			}
			if takes {
				p.streamAck(h, uint64(len("EN\r\n")))
			} else if err := p.sub.Unsubscribe(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the stream's end", func() bool { return l.Stats().Streams == 0 })
			if handed() != takes {
				t.Errorf("handed over: %v, want %v", handed(), takes)
			}
		})
	}
}

// A reader acknowledges the end of its own accord, after it has worked through all.
func TestReaderAcknowledgesTheEnd(t *testing.T) {
	l := start(t, Options{})
	past := &frame.Past{Heir: "leaf-9"}
	if _, _, err := readAll(t, dial(t, l), frame.StreamRequest{Mode: frame.StreamItems, Past: past}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the handing over", func() bool {
		l.handed.mu.Lock()
		defer l.handed.mu.Unlock()
		_, ok := l.handed.to[past.Heir]
		return ok
	})
	if n := l.Stats().StreamsCut; n != 0 {
		t.Errorf("%d streams were cut", n)
	}
}

// An heir that wants no more when the stream's last word is on its way already has had what it wanted: it is not waited for.
func TestHandedOverToWhoHasEnough(t *testing.T) {
	l := start(t, Options{})
	l.streams.mu.Lock()
	l.streams.times = streamTimes{beat: 10 * time.Millisecond, silent: time.Hour, stuck: time.Hour}
	l.streams.mu.Unlock()
	p := dial(t, l)
	h := p.begin(`{"mode":"items","past":{"epoch":0,"heir":"leaf-9"}}`)
	for body := ""; body == ""; {
		_, body = p.next()
	}
	p.streamAck(h, frame.StreamCancel)
	waitFor(t, "the stream's end", func() bool { return l.Stats().Streams == 0 })
	l.handed.mu.Lock()
	defer l.handed.mu.Unlock()
	if _, ok := l.handed.to["leaf-9"]; !ok {
		t.Error("it is waited for")
	}
}

// An heir that is called off, by a newer membership that the leaf has not heard of yet, is waited for: it will come again.
func TestNotHandedOverToWhoIsCalledOff(t *testing.T) {
	l := start(t, Options{Lanes: 1})
	p := dial(t, l)
	epoch := uint64(time.Now().UnixMilli()) + 1000
	for _, owner := range []string{l.Name(), "leaf-9"} {
		epoch++
		p.tell(0, frame.Membership{
			Pool: "users", Epoch: epoch, After: epoch - 1, Members: []frame.Member{{Name: owner}}, WarmUntil: time.Now().Add(time.Hour).UnixMilli(),
		})
		p.by(epoch, epoch, 0, "mn\r\n")
		p.next()
		if owner == l.Name() {
			fill(l, "k", 100, 100)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	read := func() error {
		_, err := stream.Read(ctx, p.nc, l.Name(), frame.StreamRequest{
			Mode: frame.StreamItems, Past: &frame.Past{Epoch: epoch, Heir: "leaf-9"},
		}, func(*store.Listed) error { cancel(); return nil })
		waitFor(t, "the stream's end", func() bool { return l.Stats().Streams == 0 })
		return err
	}
	if err := read(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if h := l.HandOver(); h.Done() {
		t.Errorf("%+v", h)
	}
	ctx, cancel = t.Context(), func() {}
	if err := read(); err != nil {
		t.Error(err)
	}
	waitFor(t, "the handing over", func() bool { h := l.HandOver(); return h.Done() })
}

// An heir that has enough at the moment when it has been given as many items as it asked for is not waited for either: what ends a stream is never taken back.
func TestEndIsNotTakenBack(t *testing.T) {
	l := start(t, Options{})
	s := newOutgoing(l, 1, frame.StreamRequest{Mode: frame.StreamKeys, Limit: 1, Window: streamWindow}, "nobody")
	s.timer = time.NewTimer(0)
	it := store.Listed{Item: store.Item{Key: []byte("k")}}
	if s.item(&it) {
		t.Error("it would have more than it asked for")
	}
	s.ack(frame.StreamCancel)
	s.finish()
	if s.over() != errReaderEnough || !s.read || s.sent > 0 {
		t.Errorf("over: %v, read: %v, %d bytes sent", s.over(), s.read, s.sent)
	}
}
