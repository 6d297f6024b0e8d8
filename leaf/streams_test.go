// Streams over real servers: what comes, and what ends them.

package leaf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/leaf/stream"
)

// fill puts n items "<prefix><i>" with values of size bytes into l.
func fill(l *Leaf, prefix string, n, size int) {
	for i := range n {
		fillOne(l, fmt.Appendf(nil, "%s%d", prefix, i), bytes.Repeat([]byte{byte(i)}, size), uint32(i), 0, 0)
	}
}

func fillOne(l *Leaf, key, value []byte, flags uint32, exp int64, bits uint8) (cas uint64) {
	tx := l.Local().Store.Begin(key)
	defer tx.End()
	cas, err := tx.Put(value, flags, exp, bits, 0)
	if err != nil {
		panic(err)
	}
	return cas
}

// readAll reads a stream to its end and gives copies of its items by key.
func readAll(t *testing.T, p *proxy, q frame.StreamRequest) (map[string]store.Listed, stream.Result, error) {
	t.Helper()
	all := map[string]store.Listed{}
	res, err := stream.Read(t.Context(), p.nc, p.l.Name(), q, func(it *store.Listed) error {
		if _, twice := all[string(it.Key)]; twice {
			t.Errorf("%q came twice", it.Key)
		}
		c := *it
		c.Key, c.Value = nil, bytes.Clone(it.Value)
		all[string(it.Key)] = c
		return nil
	})
	return all, res, err
}

func TestStream(t *testing.T) {
	clock := time.Now().Truncate(time.Second)
	l := start(t, Options{Now: func() time.Time { return clock }, MaxItem: 4 << 20, Memory: 128 << 20})
	p := dial(t, l)
	fill(l, "a:", 3000, 100)
	fill(l, "b:", 3000, 100)
	now := clock.UnixMilli()
	odd := map[string]store.Item{
		"a:\x00 odd\r\n": {Value: []byte("SERVER_ERROR no\r\n"), Flags: 1<<32 - 1, Exp: now + 1500},
		"a:large":        {Value: bytes.Repeat([]byte("EN\r\n"), 900_000), Exp: now + 40*24*3600*1000 + 1, Bits: store.BitStale},
		"a:empty":        {Bits: store.BitWon | store.BitFetched},
		"a:höher":        {Value: []byte("\r\n")},
		"a:gone":         {Value: []byte("x"), Exp: now - 1},
	}
	for k, it := range odd {
		it.CAS = fillOne(l, []byte(k), it.Value, it.Flags, it.Exp, it.Bits)
		odd[k] = it
	}
	delete(odd, "a:gone")

	for _, q := range []frame.StreamRequest{
		{Mode: frame.StreamKeys},
		{Mode: frame.StreamItems},
		{Mode: frame.StreamKeys, Order: frame.StreamHottest},
		{Mode: frame.StreamItems, Order: frame.StreamHottest, Window: 1},
		{Mode: frame.StreamItems, Prefix: []byte("a:")},
		{Mode: frame.StreamItems, Prefix: []byte("nothing")},
		{Mode: frame.StreamItems, Limit: 10},
	} {
		all := map[string]store.Listed{}
		r := stream.Reader{Conn: p.nc, Leaf: l.Name(), Now: func() time.Time { return clock }}
		res, err := r.Read(t.Context(), q, func(it *store.Listed) error {
			c := *it
			c.Key, c.Value = nil, bytes.Clone(it.Value)
			all[string(it.Key)] = c
			return nil
		})
		want := 6000 + len(odd)
		switch {
		case q.Limit > 0:
			want = int(q.Limit)
		case len(q.Prefix) == 2:
			want = 3000 + len(odd)
		case q.Prefix != nil:
			want = 0
		}
		if err != nil || len(all) != want || res.Items != int64(want) || res.Instance != l.Instance() {
			t.Fatalf("%+v: %d items, %+v, %v; want %d", q, len(all), res, err, want)
		}
		for k, got := range all {
			it, special := odd[k]
			if !special {
				var i int
				fmt.Sscanf(k[2:], "%d", &i)
				it = store.Item{Value: bytes.Repeat([]byte{byte(i)}, 100), Flags: uint32(i), CAS: got.CAS}
			}
			if got.Size != len(it.Value) || got.Flags != it.Flags || got.Exp != it.Exp || got.Bits != it.Bits || got.CAS != it.CAS || got.CAS == 0 ||
				got.Access < now-1000 || got.Access > now {
				t.Fatalf("%+v: %q is %+v with %d bytes, want %+v with %d", q, k, got.Item, got.Size, it, len(it.Value))
			}
			if q.Mode == frame.StreamItems != bytes.Equal(got.Value, it.Value) && len(it.Value) > 0 {
				t.Fatalf("%+v: %q has another value", q, k)
			}
		}
	}
	waitFor(t, "idle", func() bool { return l.Stats().Streams == 0 })
	if s := l.Stats(); s.StreamsBegun != 7 || s.StreamsCut != 0 || s.StreamsRefused != 0 || s.StreamItems < 27_000 || s.StreamBytes < 5_000_000 {
		t.Errorf("%+v", s)
	}
}

func TestStreamRequestsRefused(t *testing.T) {
	l := start(t, Options{})
	p := dial(t, l)
	for _, c := range []struct{ ask, want string }{
		{`no JSON`, "CLIENT_ERROR cannot read request for a stream: no JSON of one\r\n"},
		{``, "CLIENT_ERROR cannot read request for a stream: no JSON of one\r\n"},
		{`{}`, "CLIENT_ERROR unknown mode \"\"\r\n"},
		{`{"mode":"all\r\n"}`, "CLIENT_ERROR unknown mode \"all\\r\\n\"\r\n"},
		{`{"mode":"keys","order":"coldest"}`, "CLIENT_ERROR unknown order \"coldest\"\r\n"},
		{`{"mode":"keys","limit":-1}`, "CLIENT_ERROR limit -1, window 0: want none below 0\r\n"},
		{`{"mode":"keys","prefix":"` + strings.Repeat("AAAA", 100) + `"}`, "CLIENT_ERROR prefix of 300 bytes, want at most 250\r\n"},
		{`{"mode":"` + strings.Repeat("k", streamRequest) + `"}`, "CLIENT_ERROR request for a stream is too long\r\n"},
	} {
		p.send(frame.StreamSubject(l.Name()), []byte(c.ask))
		if h, got := p.next(); got != c.want || h.Millis != frame.StreamCut || h.Instance != l.Instance() {
			t.Errorf("%.40q: got %+v %q, want %q", c.ask, h, got, c.want)
		}
	}
	if s := l.Stats(); s.StreamsRefused != 8 || s.StreamsBegun != 0 {
		t.Errorf("%+v", s)
	}
	_, _, err := readAll(t, p, frame.StreamRequest{Mode: "other"})
	var refused *stream.Refused
	if !errors.As(err, &refused) || refused.Text != `CLIENT_ERROR unknown mode "other"` {
		t.Errorf("got %v", err)
	}
	if _, err := stream.Read(t.Context(), p.nc, "leaf-9", frame.StreamRequest{Mode: "keys"}, nil); !errors.Is(err, stream.ErrNoLeaf) ||
		!strings.Contains(err.Error(), `cannot read all items of leaf "leaf-9": `) {
		t.Errorf("got %v", err)
	}
}

// begin asks for a stream by hand and acknowledges its greeting.
func (p *proxy) begin(q string) frame.Header {
	p.t.Helper()
	p.send(frame.StreamSubject(p.l.Name()), []byte(q))
	h, body := p.next()
	if body != "" || h.Flags != frame.FlagAnswer || h.ID == 0 {
		p.t.Fatalf("got %+v %q, want a greeting", h, body)
	}
	p.streamAck(h, 0)
	return h
}

func (p *proxy) streamAck(h frame.Header, n uint64) {
	p.t.Helper()
	ack := frame.Header{Flags: frame.FlagAck, Instance: h.Instance, ID: h.ID, Acked: n}
	p.send(frame.StreamSubject(p.l.Name()), ack.Append(nil, nil))
}

// A reader gets a window's worth and no more until it acknowledges, and no more streams run at a time than are allowed.
func TestStreamWindow(t *testing.T) {
	l := start(t, Options{})
	fill(l, "k", 2000, 100)
	p := dial(t, l)
	h := p.begin(`{"mode":"items","window":10000}`)
	var got uint64
	for got+10_000/2 < 10_000 {
		head, body := p.next()
		if head.Acked != got {
			t.Fatalf("a body at %d after %d bytes", head.Acked, got)
		}
		got += uint64(len(body))
	}
	p.silence()
	others := []*proxy{}
	for range maxStreams - 1 {
		o := dial(t, l)
		o.begin(`{"mode":"items","window":5000}`)
		others = append(others, o)
	}
	if _, _, err := readAll(t, dial(t, l), frame.StreamRequest{Mode: frame.StreamKeys}); !errors.Is(err, stream.ErrBusy) {
		t.Errorf("one stream too many: %v", err)
	}
	p.streamAck(h, got)
	if head, body := p.next(); head.Acked != got || len(body) == 0 {
		t.Errorf("after the acknowledgement came %+v with %d bytes", head, len(body))
	}
	p.streamAck(h, frame.StreamCancel)
	waitFor(t, "cancelled", func() bool { return l.Stats().Streams == maxStreams-1 })
	if all, _, err := readAll(t, others[0], frame.StreamRequest{Mode: frame.StreamKeys}); err != nil || len(all) != 2000 {
		t.Errorf("a stream in its place: %d items, %v", len(all), err)
	}
}

// A stream ends when its reader is gone: when NATS says so, when it is silent, when it takes nothing for long.
func TestStreamReaderGone(t *testing.T) {
	l := start(t, Options{})
	fill(l, "k", 2000, 100)
	short := func(times streamTimes) { // nothing runs at this moment
		l.streams.mu.Lock()
		l.streams.times = times
		l.streams.mu.Unlock()
	}
	cut := func(what string, n uint64) {
		t.Helper()
		waitFor(t, what, func() bool { s := l.Stats(); return s.Streams == 0 && s.StreamsCut == n })
	}
	short(streamTimes{beat: 10 * time.Millisecond, silent: time.Hour, stuck: time.Hour})
	p := dial(t, l)
	p.begin(`{"mode":"items","window":5000}`)
	if err := p.sub.Unsubscribe(); err != nil {
		t.Fatal(err)
	}
	cut("its subscription is gone", 1)

	p = dial(t, l)
	p.begin(`{"mode":"items","window":5000}`)
	p.nc.Close()
	cut("its connection is gone", 2)

	short(streamTimes{beat: 10 * time.Millisecond, silent: 50 * time.Millisecond, stuck: time.Hour})
	p = dial(t, l)
	p.send(frame.StreamSubject(l.Name()), []byte(`{"mode":"items"}`)) // and never acknowledges the greeting
	cut("it is silent", 3)
	if n := l.Stats().StreamItems; n > 200 {
		t.Errorf("%d items sent to who never spoke", n)
	}

	short(streamTimes{beat: 10 * time.Millisecond, silent: time.Hour, stuck: 50 * time.Millisecond})
	held, first := make(chan struct{}), true
	_, err := stream.Read(t.Context(), dial(t, l).nc, l.Name(), frame.StreamRequest{Mode: "items", Window: minWindow}, func(*store.Listed) error {
		if first {
			go func() { waitFor(t, "it takes nothing", func() bool { return l.Stats().Streams == 0 }); close(held) }()
		}
		first = false
		<-held
		return nil
	})
	var refused *stream.Refused
	if !errors.As(err, &refused) || refused.Text != "SERVER_ERROR the reader takes nothing" {
		t.Errorf("got %v", err)
	}
	cut("it takes nothing", 4)
}

// A reader is told that the leaf stops, that another instance is in its place, and that nobody is.
func TestStreamLeafGone(t *testing.T) {
	url := natsServer(t)
	o := Options{Name: "a", NATS: url, Settle: 20 * time.Millisecond}
	l := start(t, o)
	fill(l, "k", 5000, 100)
	at := start(t, Options{Name: "b", NATS: url, Settle: 20 * time.Millisecond})

	// read begins a stream, and stops the leaf as it is told when the first item has come.
	read := func(stop func()) error {
		_, err := stream.Read(t.Context(), at.nc, "a", frame.StreamRequest{Mode: "items", Window: minWindow}, func(*store.Listed) error {
			if stop != nil {
				stop()
				stop = nil
			}
			return nil
		})
		return err
	}
	var refused *stream.Refused
	if err := read(func() { _ = l.Close(context.Background()) }); !errors.As(err, &refused) || refused.Text != "SERVER_ERROR the leaf stops" {
		t.Errorf("stopped: %v", err)
	}
	l = start(t, o)
	fill(l, "k", 5000, 100)
	if err := read(func() { l.nc.Close() }); !errors.Is(err, stream.ErrNoLeaf) {
		t.Errorf("killed: %v", err)
	}
	_ = l.Close(ended())
	l = start(t, o)
	fill(l, "k", 5000, 100)
	if err := read(func() { l.nc.Close(); start(t, o) }); !errors.Is(err, stream.ErrRestarted) {
		t.Errorf("restarted: %v", err)
	}
}

// What a reader gives up is ended at the leaf, too.
func TestStreamGivenUp(t *testing.T) {
	l := start(t, Options{})
	fill(l, "k", 5000, 100)
	p := dial(t, l)
	enough := errors.New("enough")
	n := 0
	res, err := stream.Read(t.Context(), p.nc, l.Name(), frame.StreamRequest{Mode: "items", Window: minWindow}, func(*store.Listed) error {
		if n++; n == 100 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || n != 100 || res.Items != 100 {
		t.Errorf("%d calls, %+v, %v", n, res, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = stream.Read(ctx, p.nc, l.Name(), frame.StreamRequest{Mode: "items", Window: minWindow}, func(*store.Listed) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	waitFor(t, "ended", func() bool { return l.Stats().Streams == 0 })
	if s := l.Stats(); s.StreamsCut != 0 || s.StreamItems >= 10_000 {
		t.Errorf("%+v", s)
	}
}

// An item that expires on its way out is passed over. It does not end the stream, even if it is the first.
func TestStreamOverExpired(t *testing.T) {
	l := start(t, Options{})
	now := time.Now().UnixMilli()
	s := newOutgoing(l, 1, frame.StreamRequest{Mode: frame.StreamItems, Window: minWindow}, "nowhere")
	if !s.item(&store.Listed{Item: store.Item{Key: []byte("expired"), Exp: now - 1}}) || s.over() != nil {
		t.Fatalf("the stream is over: %v", s.over())
	}
	if !s.item(&store.Listed{Item: store.Item{Key: []byte("k")}}) || s.items != 1 {
		t.Errorf("%d items, %v", s.items, s.over())
	}
}
