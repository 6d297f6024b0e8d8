// Flushing over NATS.

package leaf

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
)

func TestFlush(t *testing.T) {
	l := start(t, Options{Lanes: 1})
	p := dial(t, l)
	flush := func(data, wantErr string) {
		t.Helper()
		p.send(frame.FlushSubject(l.Name()), []byte(data))
		m, err := p.sub.NextMsg(patience)
		if err != nil {
			t.Fatal(err)
		}
		var r frame.FlushReply
		if err := json.Unmarshal(m.Data, &r); err != nil || r.Instance != l.Instance() || r.Error != wantErr {
			t.Errorf("%.60s: got %s, %v; want %q", data, m.Data, err, wantErr)
		}
	}
	id := uint64(0)
	says := func(body, want string) {
		t.Helper()
		id++
		p.frame(id, body)
		p.want(id, want)
	}
	set := "set a:1 0 0 1\r\nx\r\nset a:2 0 0 1\r\nx\r\nset b 0 0 1\r\nx\r\n"
	says(set, "STORED\r\nSTORED\r\nSTORED\r\n")
	flush(`{"prefix":"YTo="}`, "") // a:
	says("mg a:1 v\r\nmg a:2\r\nmg b v\r\nset a:1 0 0 1\r\ny\r\nmg a:1 v\r\n", "EN\r\nEN\r\nVA 1\r\nx\r\nSTORED\r\nVA 1\r\ny\r\n")
	flush(`{"all":true}`, "")
	says("mg a:1 v\r\nmg b v\r\nset b 0 0 1\r\nz\r\n", "EN\r\nEN\r\nSTORED\r\n")
	for _, c := range []struct{ data, want string }{
		{``, "cannot read request to flush: no JSON of one"},
		{`all`, "cannot read request to flush: no JSON of one"},
		{`{"prefix":"a:"}`, "cannot read request to flush: no JSON of one"}, // no base64
		{`{}`, "want a prefix, or all"},
		{`{"prefix":""}`, "want a prefix, or all"},
		{`{"prefix":"YTo=","all":true}`, "want a prefix or all, not both"},
		{`{"prefix":"` + strings.Repeat("AAAA", 100) + `"}`, "prefix of 300 bytes, want at most 250"},
		{`{"all":true,"x":"` + strings.Repeat("x", flushRequest) + `"}`, "cannot read request to flush: no JSON of one"},
	} {
		flush(c.data, c.want)
	}
	says("mg b v\r\n", "VA 1\r\nz\r\n")
	if n := l.Stats().Flushes; n != 2 {
		t.Errorf("%d flushes counted", n)
	}
	other := start(t, Options{Name: "other", Exec: func(_ *mc.Request, dst []byte) []byte { return dst }})
	if err := other.Flush(nil); err == nil {
		t.Error("a leaf without a store was flushed")
	}
}

// FuzzOps gives a leaf whatever bytes there are as a request for a stream, an acknowledgement of one and a request to flush. What is
// not meant to flush must not; no stream may stay.
func FuzzOps(f *testing.F) {
	l := start(f, Options{Lanes: 1})
	l.streams.times = streamTimes{beat: time.Millisecond, silent: 2 * time.Millisecond, stuck: time.Second}
	p := dial(f, l)
	for _, s := range []string{
		`{"mode":"keys"}`, `{"mode":"items","order":"hottest","prefix":"YTo=","limit":1,"window":1}`, `{"mode":"items","limit":-1}`,
		`{"all":true}`, `{"prefix":"YTo="}`, `{"prefix":"YTo=","all":true}`, `{`, `null`, `[]`, "", "TP",
	} {
		f.Add([]byte(s))
	}
	ack := frame.Header{Flags: frame.FlagAck, Instance: l.Instance(), ID: 1, Acked: 1 << 63}
	f.Add(ack.Append(nil, nil))
	ack.Acked = frame.StreamCancel
	f.Add(ack.Append(nil, nil))
	id := uint64(0)
	f.Fuzz(func(t *testing.T, data []byte) {
		p.t = t
		id += 2
		p.frame(id, "set k 0 0 1\r\nx\r\n")
		p.want(id, "STORED\r\n")
		flushes := l.Stats().Flushes
		l.streams.arrive(&nats.Msg{Reply: "nobody", Data: data})
		l.flush(&nats.Msg{Reply: "nobody", Data: data})
		var q frame.FlushRequest
		meant := json.Unmarshal(data, &q) == nil && (q.All != (len(q.Prefix) > 0)) && len(q.Prefix) <= mc.MaxKey
		if got := l.Stats().Flushes - flushes; got > 1 || got == 1 && !meant {
			t.Fatalf("%q flushed", data)
		}
		p.frame(id+1, "mg k v\r\n")
		if meant && (q.All || strings.HasPrefix("k", string(q.Prefix))) {
			p.want(id+1, "EN\r\n")
		} else {
			p.want(id+1, "VA 1\r\nx\r\n")
		}
		waitFor(t, "streams end", func() bool { return l.Stats().Streams == 0 })
	})
}
