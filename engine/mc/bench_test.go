// What it costs, and that it allocates nothing.

package mc

import (
	"bytes"
	"strings"
	"testing"
)

var hot = []struct{ name, in string }{
	{"get", "get user:12345\r\n"},
	{"set", "set user:12345 0 0 100\r\n" + strings.Repeat("v", 100) + "\r\n"},
	{"mg", "mg user:12345 v t f k Oabc q\r\n"},
	{"ms", "ms user:12345 100 T3600 F5 c\r\n" + strings.Repeat("v", 100) + "\r\n"},
	{"get100", "get " + strings.Repeat("user:12345 ", 100) + "\r\n"},
}

func TestNoAllocations(t *testing.T) {
	f := func(what string, do func()) {
		t.Helper()
		if n := testing.AllocsPerRun(100, do); n != 0 {
			t.Errorf("%s allocates %v times", what, n)
		}
	}
	var p Parser
	var r, sub Request
	buf := make([]byte, 0, 1<<12)
	for _, h := range hot {
		in := []byte(h.in)
		for _, rules := range []*Rules{core, routed} {
			f("parsing "+h.name, func() {
				if _, _, err := p.Next(in, rules, &r); err != nil || r.Bad != BadNone {
					t.Fatal(err, r.Bad)
				}
			})
		}
		f("the wire form of "+h.name, func() { buf = AppendWire(buf[:0], &r) })
		f("splitting "+h.name, func() {
			if r.NKeys() < 2 {
				return
			}
			buf = buf[:0]
			for key, pos, ok := r.NextKey(0); ok; key, pos, ok = r.NextKey(pos) {
				buf = SubGet(buf, &r, key, &sub)
			}
		})
		f("what is asked of "+h.name, func() {
			r.PureRead()
			r.Flag('O')
			CheckWire(&r)
		})
	}
	for _, s := range requestSeeds {
		in := []byte(s)
		f("refusing "+s, func() {
			p = Parser{}
			if _, _, err := p.Next(in, routed, &r); err == nil {
				buf = AnswerBad(buf[:0], &r, routed)
			}
		})
	}
	b64 := parse(t, "mg aGVsbG8= b v\r\n")
	f("decoding a key", func() { buf, _ = b64.DecodeKey(buf[:0]) })
	for _, s := range responseSeeds {
		in := []byte(s)
		var resp Response
		f("an answer "+s, func() {
			if _, _, err := ParseResponse(in, &resp); err == nil {
				resp.Flag('k')
				resp.Value()
				resp.Rank()
				SuppressAnswer(&r, &resp)
			}
		})
	}
	edit := parse(t, "mg /foo/a T30 q\r\n")
	f("edits", func() {
		e := *edit
		buf, _ = e.FlagSet(buf[:0], 'T', []byte("60"))
		buf, _ = e.TrimKeyLeft(buf, 5)
		buf, _ = e.SetToken(buf, 1, []byte("b"))
	})
}

func BenchmarkParse(b *testing.B) {
	for _, h := range hot {
		in := []byte(h.in)
		b.Run(h.name, func(b *testing.B) {
			b.ReportAllocs()
			var p Parser
			var r Request
			for b.Loop() {
				p.Next(in, routed, &r)
			}
		})
	}
}

// A pipeline is what the server sees under load: the lines differ, and none is in a register yet.
func BenchmarkPipeline(b *testing.B) {
	one := "get user:1\r\nget a:longer:key:12345678\r\nset user:3 0 60 5\r\nhello\r\nmg user:4 v\r\n"
	in := []byte(strings.Repeat(one, 4))
	b.ReportAllocs()
	var p Parser
	var r Request
	for b.Loop() {
		for buf := in; len(buf) > 0; {
			n, _, _ := p.Next(buf, routed, &r)
			buf = buf[n:]
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/request")
}

func BenchmarkAppendWire(b *testing.B) {
	for _, h := range hot[:4] {
		r := parse(b, h.in)
		b.Run(h.name, func(b *testing.B) {
			b.ReportAllocs()
			var buf []byte
			for b.Loop() {
				buf = AppendWire(buf[:0], r)
			}
		})
	}
}

func BenchmarkSplit(b *testing.B) {
	r := parse(b, hot[4].in)
	b.ReportAllocs()
	var buf []byte
	var sub Request
	for b.Loop() {
		buf = buf[:0]
		for key, pos, ok := r.NextKey(0); ok; key, pos, ok = r.NextKey(pos) {
			buf = SubGet(buf, r, key, &sub)
		}
	}
}

func BenchmarkParseResponse(b *testing.B) {
	for _, c := range []struct{ name, in string }{
		{"value", "VALUE user:12345 0 100\r\n" + strings.Repeat("v", 100) + "\r\nEND\r\n"},
		{"end", "END\r\n"},
		{"stored", "STORED\r\n"},
		{"va", "VA 100 t60 f0 kuser:12345\r\n" + strings.Repeat("v", 100) + "\r\n"},
		{"hd", "HD\r\n"},
		{"1MB", "VALUE a 0 1048576\r\n" + strings.Repeat("v", 1<<20) + "\r\nEND\r\n"},
	} {
		in := bytes.Clone([]byte(c.in))
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			var r Response
			for b.Loop() {
				ParseResponse(in, &r)
			}
		})
	}
}
