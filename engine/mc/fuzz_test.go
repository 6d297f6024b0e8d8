// Properties that hold for any bytes.

package mc

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// requestSeeds are streams; the parser's tables and wire_test's lines grow the corpus.
var requestSeeds = []string{
	"get a\r\n", "get a b c\r\nset a 0 0 2 noreply\r\nhi\r\n", "gat 0 a b\r\n", "ms a 2 q b\r\nhi\r\nmn\r\n", "mg a v q k Ox\r\n",
	"set a 0 0 99999 noreply\r\n" + strings.Repeat("x", 300), "set a 0 0 2\r\nfail\r\nget a\r\n", "set a 0 0 -1\r\n", "set a 0 0 2147483645\r\n",
	"\x80\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00opaq\x00\x00\x00\x00\x00\x00\x00\x00", "GET / HTTP/1.1\r\n\r\n", "bogus noreply\r\n", "\r\n\n\r\n",
	"delete noreply\r\ndelete a 0 noreply\r\n", "incr a 1\r\ntouch a 0\r\n", "get " + strings.Repeat("k", 251) + "\r\n", "get " + strings.Repeat("k ", 600) + "\r\n",
	"touch " + strings.Repeat(" ", 490) + "a 0\r\n", strings.Repeat("x", 1030), strings.Repeat("x", 2049) + "\n", "mg a " + strings.Repeat("v ", 20) + "\r\n",
	"cas a 1 2 3 4\r\nabc\r\n", "flush_all 10 noreply\r\nstats items\r\nverbosity 1\r\nquit\r\n", "get a\r\r\n", "get  a \n",
}

func FuzzRequests(f *testing.F) {
	for i, s := range requestSeeds {
		f.Add([]byte(s), uint16(i), true)
		f.Add([]byte(s), uint16(len(s)/2), false)
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16, route bool) {
		rules := &Rules{Routed: route, MaxValue: 1000, MaxLine: 1 << 12}
		at := int(cut) % (len(stream) + 1)
		whole := transcript(t, rules, stream)
		if parts := transcript(t, rules, stream[:at], stream[at:]); parts != whole {
			t.Fatalf("cut at %d it is\n%s\nwhole it is\n%s", at, parts, whole)
		}
	})
}

// transcript parses the chunks as a server would that gets one after the other, checks each request, and writes all
// down that the parser found out.
func transcript(t *testing.T, rules *Rules, chunks ...[]byte) string {
	t.Helper()
	var p Parser
	var r Request
	var buf []byte
	var out strings.Builder
	for _, chunk := range chunks {
		buf = append(buf[:len(buf):len(buf)], chunk...)
		for {
			n, need, err := p.Next(buf, rules, &r)
			if n < 0 || n > len(buf) || need != 0 && need <= len(buf)-n {
				t.Fatalf("Next took %d of %d bytes, needs %d, %v", n, len(buf), need, err)
			}
			buf = buf[n:]
			if err != nil {
				if err != ErrMore {
					t.Fatal(err)
				}
				break
			}
			if n == 0 {
				t.Fatal("a request of no bytes")
			}
			answer := AnswerBad(nil, &r, rules)
			if r.Bad == BadBinary {
				answer = nil // goes by how much of the header is there
			}
			fmt.Fprintf(&out, "bad %d answer %q ", r.Bad, answer)
			if r.Bad.Closes() {
				out.WriteString("close\n")
				return out.String()
			}
			fmt.Fprintf(&out, "%v %q %q %q %v %v %v %d tokens %v flags %x keys %d\n",
				r.Cmd, r.Line, r.Value, r.Key, r.NoReply, r.Quiet, r.Base64, r.ntok, r.tok[:r.ntok], r.flags, r.nkeys)
			checkRequest(t, &r, rules)
		}
	}
	fmt.Fprintf(&out, "left %d swallow %d\n", len(buf), p.Swallow)
	return out.String()
}

// checkRequest checks what holds for each request that is no longer malformed.
func checkRequest(t *testing.T, r *Request, rules *Rules) {
	t.Helper()
	if r.Bad != BadNone {
		return
	}
	n := 0
	for key, pos, ok := r.NextKey(0); ok; key, pos, ok = r.NextKey(pos) {
		if n++; len(key) == 0 || bytes.IndexByte(key, ' ') >= 0 {
			t.Fatalf("%q: key %q", r.Line, key)
		}
		if r.Cmd.IsGet() && r.nkeys > 1 {
			var sub Request
			SubGet(nil, r, key, &sub)
			if sub.Bad == BadNone && (CheckWire(&sub) != BadNone || !bytes.Equal(sub.Key, key)) {
				t.Fatalf("%q: sub request %q", r.Line, sub.Line)
			}
		}
	}
	if n != r.NKeys() {
		t.Fatalf("%q: %d keys, NKeys says %d", r.Line, n, r.NKeys())
	}
	r.DecodeKey(nil)
	r.PureRead()
	AppendNull(nil, r)
	checkWireForm(t, r, rules)
}

// checkWireForm: what is sent for r is read as the same request, and it will be answered.
func checkWireForm(t *testing.T, r *Request, rules *Rules) {
	t.Helper()
	wire := AppendWire(nil, r)
	if len(wire) > r.WireLen() {
		t.Fatalf("%q: WireLen %d, is %d", r.Line, r.WireLen(), len(wire))
	}
	if line := len(wire) - len(r.Value); rules.Routed && line >= maxRouted || line > maxLineCore {
		return // a bare line feed has become CRLF, and the line too long by that
	}
	var p Parser
	var again Request
	if n, _, err := p.Next(wire, rules, &again); n != len(wire) || err != nil {
		t.Fatalf("%q: wire form %q: took %d, %v", r.Line, wire, n, err)
	}
	if again.Bad != BadNone || again.Cmd != r.Cmd || !bytes.Equal(again.Key, r.Key) || !bytes.Equal(again.Value, r.Value) ||
		again.nkeys != r.nkeys || again.Base64 != r.Base64 || again.flags != r.flags&^flagBit('q') {
		t.Fatalf("%q: wire form %q is another request", r.Line, wire)
	}
	if again.NoReply || again.Quiet || again.Cmd == CmdDelete && string(again.Token(again.NToken()-1)) == noreply {
		t.Fatalf("%q: wire form %q may stay without an answer", r.Line, wire)
	}
}

func FuzzEdit(f *testing.F) {
	f.Add("mg a N50 Oexists T73 c\r\n", uint8(0), uint8(2), "x")
	f.Add("ms a 2 q\r\n", uint8(1), uint8('T'), "30")
	f.Add("set foo/a 0 0 2 noreply\r\n", uint8(2), uint8(4), "")
	f.Add("get foo/a\r\n", uint8(3), uint8(4), "")
	f.Add("mg a T30\r\n", uint8(4), uint8('T'), "N100 ")
	f.Add("mg a T30\r\n", uint8(5), uint8('T'), "\r\nmd a")
	f.Fuzz(func(t *testing.T, line string, op, arg uint8, tok string) {
		var r Request
		value := []byte("hi\r\n")
		if NewRequest(&r, []byte(line), value) != nil && NewRequest(&r, []byte(line), nil) != nil {
			return
		}
		before := r
		buf := []byte("taken")
		var err error
		ok := true
		switch op % 7 {
		case 0:
			buf, err = r.SetToken(buf, int(arg)%MaxTokens, []byte(tok))
		case 1:
			buf, ok = r.FlagSet(buf, arg, []byte(tok))
		case 2:
			buf, err = r.TrimKeyLeft(buf, int(arg))
		case 3:
			buf, err = r.TrimKeyRight(buf, int(arg))
		case 4:
			buf, err = r.SetFlagToken(buf, arg, []byte(tok))
		case 5:
			buf, ok = r.FlagAdd(buf, arg, []byte(tok))
		case 6:
			buf, ok = r.FlagDel(buf, arg)
		}
		if err != nil || !ok {
			if !sameRequest(&r, &before) || string(buf) != "taken" {
				t.Fatalf("%q: changed to %q although it failed", line, r.Line)
			}
			return
		}
		if len(r.Line)+2 > MaxRequest || hasControl(r.Line) {
			t.Fatalf("%q became %q", line, r.Line)
		}
		checkWireForm(t, &r, routed)
	})
}

var responseSeeds = []string{
	"VALUE a 0 2\r\nhi\r\nEND\r\n", "VALUE a 0 2 99\r\nhi\r\nEND\r\n", "VALUE a 0 2\r\nhi\r\nVALUE b 0 2\r\n", "END\r\n", "STORED\r\nHD\r\n", "VA 2 s2 kkey W\r\nhi\r\n",
	"VA 0\r\n\r\n", "HD Ox t-1\r\n", "EN\r\n", "NF Ox\r\n", "ME a exp=-1\r\n", "MN\r\n", "17 \r\n", "SERVER_ERROR out of memory\r\n", "ERROR\r\n", "VERSION 1.6\r\n",
	"VA 1073741825\r\n", "VALUE a 0 99999999999\r\n", "STAT a b\r\n", "\r\n", "NOT_FOUND\n", strings.Repeat("9", 5000),
}

func FuzzResponse(f *testing.F) {
	for i, s := range responseSeeds {
		f.Add([]byte(s), uint16(i), byte('k'))
	}
	f.Fuzz(func(t *testing.T, buf []byte, cut uint16, flag byte) {
		var r Response
		n, need, err := ParseResponse(buf, &r)
		if n < 0 || n > len(buf) || need != 0 && need <= len(buf) || (err == nil) != (n > 0) {
			t.Fatalf("took %d of %d bytes, needs %d, %v", n, len(buf), need, err)
		}
		if err != nil {
			return
		}
		var part Response
		if at := int(cut) % n; true {
			if n, _, err := ParseResponse(buf[:at], &part); n != 0 || err != ErrMore {
				t.Fatalf("%q: the first %d bytes: %d %v", buf, at, n, err)
			}
		}
		if m, _, err := ParseResponse(buf[:n], &part); m != n || err != nil || part.Code != r.Code || part.value != r.value {
			t.Fatalf("%q: without what follows: %d %v", buf, m, err)
		}
		moved := bytes.Clone(r.Raw)
		r.Rebase(moved)
		r.Text()
		r.WithoutEnd()
		if (r.Value() != nil) != r.HasValue() || len(r.Value()) != r.VLen() {
			t.Fatalf("%q: value %q", r.Raw, r.Value())
		}
		another := &Request{Key: []byte("another-key")}
		if named := r.Key(); len(named) > 0 {
			re := AppendRekeyed(nil, &r, another)
			if m, _, err := ParseResponse(re, &part); m != len(re) || err != nil || !bytes.Equal(part.Key(), another.Key) || !bytes.Equal(part.Value(), r.Value()) {
				t.Fatalf("%q: rekeyed %q: %d %v", r.Raw, re, m, err)
			}
		}
		if flag == ' ' || flag == '\n' || flag == '\r' {
			return
		}
		_, had := r.Flag(flag)
		if r.FlagBlank(flag) != had {
			t.Fatalf("%q: flag %q is %v, blanked it is not", buf, flag, had)
		}
		if m, _, err := ParseResponse(r.Raw, &part); m != n || err != nil || part.Code != r.Code {
			t.Fatalf("%q: blanked %q: %d %v", buf, r.Raw, m, err)
		}
	})
}
