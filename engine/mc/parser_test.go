// What the parser makes of lines, under both rule sets.

package mc

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
)

var (
	core   = &Rules{MaxValue: 1024}
	routed = &Rules{MaxValue: 1024, Routed: true}
)

// all parses everything in stream, as a server would, and renders it: one line per request.
func all(t testing.TB, stream string, rules *Rules) string {
	t.Helper()
	var p Parser
	var r Request
	var out strings.Builder
	buf := []byte(stream)
	for {
		n, need, err := p.Next(buf, rules, &r)
		if n > len(buf) || need != 0 && need <= len(buf)-n {
			t.Fatalf("Next(%q) took %d, needs %d", buf, n, need)
		}
		buf = buf[n:]
		if err != nil {
			break
		}
		describe(&out, &r, rules)
		if r.Bad.Closes() {
			out.WriteString("close\n")
			return out.String()
		}
	}
	if len(buf) > 0 {
		out.WriteString("more\n")
	}
	if p.Swallow > 0 {
		out.WriteString("swallow " + strconv.FormatInt(p.Swallow, 10) + "\n")
	}
	return out.String()
}

// describe writes one request the way the tables below do.
func describe(out *strings.Builder, r *Request, rules *Rules) {
	if r.Bad != BadNone {
		answer := strings.TrimSuffix(string(AnswerBad(nil, r, rules)), "\r\n")
		if answer == "" {
			answer = "silence"
		}
		out.WriteString(answer + "\n")
		return
	}
	out.WriteString(r.Cmd.String())
	for key, pos, ok := r.NextKey(0); ok; key, pos, ok = r.NextKey(pos) {
		out.WriteString(" " + string(key))
	}
	if r.Value != nil {
		out.WriteString(" = " + strings.TrimSuffix(string(r.Value), "\r\n"))
	}
	for on, what := range map[bool]string{r.NoReply: " noreply", r.Quiet: " quiet"} {
		if on {
			out.WriteString(what)
		}
	}
	out.WriteString("\n")
}

func TestParse(t *testing.T) {
	long := strings.Repeat("k", 251)
	pad := strings.Repeat(" ", 2100)
	f := func(stream, wantCore, wantRouted string) {
		t.Helper()
		for _, c := range []struct {
			rules *Rules
			want  string
		}{{core, wantCore}, {routed, wantRouted}} {
			want := strings.ReplaceAll(c.want, "; ", "\n")
			if want != "" {
				want += "\n"
			}
			if got := all(t, stream, c.rules); got != want {
				t.Errorf("%.80q, routed %v:\n got %q\nwant %q", stream, c.rules.Routed, got, want)
			}
		}
	}
	both := func(stream, want string) { t.Helper(); f(stream, want, want) }

	// Well-formed.
	both("get a\r\n", "get a")
	both("get a\n", "get a")
	both("get  a \r\n", "get a")
	both("get a b  c\r\n", "get a b c")
	both("gats 0 a b\r\n", "gats a b")
	both("get a\r\nget b\r\nget", "get a; get b; more")
	both("set a 0 0 2\r\nhi\r\n", "set a = hi")
	both("set a 0 0 2\nhi\r\n", "set a = hi")
	both("set a 0 -1 2 noreply\r\nhi\r\n", "set a = hi noreply")
	both("set a 0 0 0\r\n\r\n", "set a = ")
	both("set a 0 0 2\r\nhi", "more")
	both("cas a 1 2 3 4\r\nabc\r\n", "cas a = abc")
	both("cas a 1 2 3 4 noreply\r\nabc\r\n", "cas a = abc noreply")
	both("incr a 1\r\ndecr a 1 noreply\r\n", "incr a; decr a noreply")
	both("touch a 0\r\ndelete a\r\ndelete a 0\r\ndelete a noreply\r\n", "touch a; delete a; delete a; delete a noreply")
	both("delete noreply\r\n", "delete noreply")
	both("get noreply\r\nget a noreply\r\n", "get noreply; get a noreply")
	both("mg a\r\nmg a v q k\r\nmn\r\nme a\r\n", "mg a; mg a quiet; mn; me a")
	both("ms a 2 q b\r\nhi\r\n", "ms a = hi quiet")
	both("md a\r\nma a D5\r\n", "md a; ma a")
	both("version\r\nstats\r\nstats items\r\nquit\r\n", "version; stats; stats; quit")
	both("flush_all\r\nflush_all 10 noreply\r\nverbosity 1\r\n", "flush_all; flush_all noreply; verbosity")
	both("version noreply\r\nstats noreply\r\nwatch noreply\r\nquit noreply\r\n", "version; stats; watch; quit")
	both("watch proxyreqs\r\nshutdown\r\nlru_crawler metadump all\r\n", "watch; shutdown; lru_crawler")
	both("get "+strings.Repeat("key ", 9000)+"\r\n", "get"+strings.Repeat(" key", 9000))

	// Malformed, and the stream goes on behind it.
	format := "CLIENT_ERROR bad command line format"
	parsing := "CLIENT_ERROR parsing request"
	g := func(stream string) { t.Helper(); f(stream+"get a\r\n", format+"; get a", parsing+"; get a") }
	g("\r\n")
	g("a\n")
	g("mn\n")
	g("get\r\n")
	g("get   \r\n")
	g("gat 0\r\n")
	g("incr a\r\n")
	g("touch a\r\n")
	g("delete\r\n")
	g("set a 0 0\r\n")
	g("set a 0 0 x\r\n")
	g("set a 0 0 -1\r\n")
	g("set a 0 0 +1\r\n")
	g("set a 0 0 2147483646\r\n")
	g("set a 0 0 99999999999999999999\r\n")
	g("mg\r\n")
	g("mg a -\r\n")
	g("ms a\r\n")
	g("ms a S2\r\n")
	g("ms a -2\r\n")
	g("ms a 2 -\r\nhi\r\n")

	// A value that does not end where it should: what is over is read as commands.
	f("set a 0 0 2\r\nfail\r\nget a\r\n", "CLIENT_ERROR bad data chunk; "+format+"; get a", "CLIENT_ERROR bad data chunk; "+parsing+"; get a")
	both("ms a 2\r\nfail", "CLIENT_ERROR bad data chunk")
	both("ms a 2 q\r\nfail", "CLIENT_ERROR bad data chunk")
	f("set a 0 0 2 noreply\r\nfail", "silence", "CLIENT_ERROR bad data chunk")

	// Too large: refused before it arrives, swallowed as it does.
	large := "SERVER_ERROR object too large for cache"
	body := strings.Repeat("v", 1025)
	both("set a 0 0 1025\r\n"+body+"\r\nget a\r\n", large+"; get a")
	both("set a 0 0 1025\r\n"+body[:1000], large+"; swallow 27")
	both("set a 0 0 2147483645\r\n", large+"; swallow 2147483647")
	both("ms a 1025 q\r\n"+body+"\r\nget a\r\n", large+"; get a")
	both("set a 0 0 1025 noreply\r\n"+body+"\r\nget a\r\n", "silence; get a")

	// Keys.
	f("get "+long+"\r\n", format, "get "+long)
	f("get a "+long+" b\r\nget a\r\n", format+"; get a", "get a "+long+" b; get a")
	f("mg "+long+"\r\n", format, "mg "+long)
	f("set "+long+" 0 0 2\r\nhi\r\nget a\r\n", format+"; get a", "set "+long+" = hi; get a")
	f("ms "+long+" 2\r\nhi\r\nget a\r\n", format+"; get a", "ms "+long+" = hi; get a")
	both("get "+long[:250]+"\r\n", "get "+long[:250])

	// Flags.
	both("mg a "+strings.Repeat("v ", 18)+"\r\n", "mg a")
	both("mg a "+strings.Repeat("v ", 19)+"\r\n", "CLIENT_ERROR options flags are too long")
	both("ms a 2 "+strings.Repeat("v ", 18)+"\r\nhi\r\nget a\r\n", "CLIENT_ERROR options flags are too long; get a")

	// Of a set the length alone matters here, and the last word.
	both("set a x 0 2\r\nhi\r\nget a\r\n", "set a = hi; get a")
	both("set a 4294967296 +1 2\r\nhi\r\nget a\r\n", "set a = hi; get a")
	both("set a 0 x 2 noreply\r\nhi\r\nget a\r\n", "set a = hi noreply; get a")
	both("set a 0 0 2 x y\r\nhi\r\nget a\r\n", "set a = hi; get a")
	both("set a 0 0 2 noreply x\r\nhi\r\nget a\r\n", "set a = hi; get a")
	both("append a 0 0 2 noreply noreply\r\nhi\r\nget a\r\n", "append a = hi noreply; get a")
	both("cas a 0 0 2\r\nhi\r\nget a\r\n", "cas a = hi; get a")
	both("cas a 0 0 2 x\r\nhi\r\nget a\r\n", "cas a = hi; get a")
	both("set a 0 0 2 x\r\nhi\r\n", "set a = hi")

	// Unknown words.
	f("bogus\r\nget a\r\n", "ERROR; get a", "silence; close")
	f("bogus noreply\r\nget a\r\n", "silence; get a", "silence; close")
	f("GET a\r\nget a\r\n", "ERROR; get a", "silence; close")
	f(" get a\r\nget a\r\n", "ERROR; get a", "silence; close")
	f("GET / HTTP/1.1\r\nHost: x\r\n", "silence; close", "silence; close")

	// Long lines.
	f("touch "+pad+"a 0\r\n", "silence; close", "silence; close")
	f("touch "+pad+"a 0", "silence; close", "silence; close")
	f("touch "+pad[:1000]+"a 0", "more", "more")
	f("touch "+pad[:1100]+"a 0", "more", "silence; close")
	f("touch "+pad[:1100]+"a 0\r\n", "touch a", "silence; close")
	f("touch "+pad[:488]+"a 0\r\n", "touch a", "touch a")
	f("touch "+pad[:489]+"a 0\r\n", "touch a", "CLIENT_ERROR request too long; close")
	f("get "+pad+"a\r\n", "get a", "CLIENT_ERROR request too long; close")
	both("get "+pad, "more")
	f("get "+pad+"a b\r\n", "get a b", "CLIENT_ERROR malformed request")
	f(pad, "silence; close", "silence; close")

	// The binary protocol.
	text := "CLIENT_ERROR " + binaryText
	both("\x80", text+"; close")
	both("\x80abc\r\n", text+"; close")
}

// Who is answered with silence, and whether the connection goes on.
func TestSilence(t *testing.T) {
	f := func(stream string, rules *Rules, want Bad, closes bool) {
		t.Helper()
		var p Parser
		var r Request
		if _, _, err := p.Next([]byte(stream), rules, &r); err != nil || r.Bad != want || r.Bad.Closes() != closes {
			t.Errorf("%.40q: bad %d closes %v err %v, want %d %v", stream, r.Bad, r.Bad.Closes(), err, want, closes)
		}
		if got := AnswerBad(nil, &r, rules); len(got) > 0 {
			t.Errorf("%.40q: answered %q, want silence", stream, got)
		}
	}
	f("bogus\r\n", routed, BadUnknown, true)
	f("GET / HTTP/1.0\r\n", core, BadHTTP, true)
	f(strings.Repeat("x", 3000), core, BadLine, true)
	f("bogus noreply\r\n", core, BadCommand, false)
	f("set a 0 0 9999 noreply\r\n", core, BadTooLarge, false)
	f("set a 0 0 9999999 noreply\r\n", routed, BadTooLarge, false)
	f("set a 0 0 2 noreply\r\nfail", core, BadChunk, false)
	f("set "+strings.Repeat("k", 251)+" 0 0 2 noreply\r\nhi\r\n", core, BadKey, false)
}

// Under strict rules a route's listener knows what memcached's proxy knows, and no more. A listener without routes is itself.
func TestStrict(t *testing.T) {
	f := func(line string, want Bad) {
		t.Helper()
		for _, rules := range []*Rules{{Routed: true, Strict: true}, {Routed: true}, {Strict: true}} {
			var p Parser
			var r Request
			in := line + "\r\nget a\r\n"
			wants := want
			if !rules.Routed || !rules.Strict {
				wants = BadNone
			}
			if n, _, err := p.Next([]byte(in), rules, &r); err != nil || r.Bad != wants || n != len(line)+2 {
				t.Errorf("%q with %+v: bad %d, took %d, %v; want bad %d", line, *rules, r.Bad, n, err, wants)
			}
		}
	}
	for _, line := range []string{"flush_all", "flush_all noreply", "verbosity 1", "shutdown", "slabs automove 1", "lru mode flat",
		"lru_crawler enable", "cache_memlimit 64", "extstore x", "refresh_certs"} {
		f(line, BadUnknown)
	}
	for _, line := range []string{"stats", "version", "quit", "watch fetchers", "mn", "mg a", "me a", "get a", "delete a", "prepend a 0 0 0\r\n"} {
		f(line, BadNone)
	}
}

// A stranger's value is not waited for.
func TestLoginSwallowsNothing(t *testing.T) {
	rules := &Rules{Login: true, MaxValue: 8}
	got := all(t, "set a 0 0 2147483000\r\nset a 0 0 9\r\nset a 0 0 3\r\nu p\r\n", rules)
	if want := "SERVER_ERROR object too large for cache\nSERVER_ERROR object too large for cache\nset a = u p\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMaxLine(t *testing.T) {
	rules := &Rules{MaxLine: 3000}
	keys := "get " + strings.Repeat("key ", 1000)
	for _, stream := range []string{keys, keys + "\r\n"} {
		if got := all(t, stream, rules); got != "CLIENT_ERROR request too long\nclose\n" {
			t.Errorf("%d bytes: %q", len(stream), got)
		}
	}
	if got := all(t, strings.TrimSpace(keys[:2998])+"\r\n", rules); !strings.HasPrefix(got, "get key") {
		t.Errorf("a line of 3000 bytes: %.60q", got)
	}
}

// A client's rubbish must not be looked at over and over, nor waited for in vain.
func TestScanned(t *testing.T) {
	var p Parser
	var r Request
	buf := []byte("get ")
	for range 100 {
		buf = append(buf, "some-key "...)
		n, need, err := p.Next(buf, core, &r)
		if n != 0 || need != 0 || err != ErrMore {
			t.Fatal(n, need, err)
		}
		if p.scanned != len(buf) {
			t.Fatalf("looked at %d of %d bytes", p.scanned, len(buf))
		}
	}
	buf = append(buf, "\r\nget b\r\n"...)
	n, _, err := p.Next(buf, core, &r)
	if err != nil || r.NKeys() != 100 {
		t.Fatal(err, r.NKeys())
	}
	if _, _, err := p.Next(buf[n:], core, &r); err != nil || string(r.Key) != "b" {
		t.Fatal(err, string(r.Key))
	}
}

func TestSwallow(t *testing.T) {
	var p Parser
	var r Request
	head := "set a 0 0 5000\r\n"
	n, _, err := p.Next([]byte(head+"xy"), core, &r)
	if err != nil || r.Bad != BadTooLarge || n != len(head)+2 || p.Swallow != 5000 {
		t.Fatal(n, err, r.Bad, p.Swallow)
	}
	if r.Cmd != CmdSet || string(r.Key) != "a" {
		t.Fatalf("%v %q: who drops the old item needs them", r.Cmd, r.Key)
	}
	n, _, err = p.Next(make([]byte, 4096), core, &r)
	if n != 4096 || err != ErrMore || p.Swallow != 904 {
		t.Fatal(n, err, p.Swallow)
	}
	n, _, err = p.Next(append(make([]byte, 904), "get a\r\n"...), core, &r)
	if n != 904+7 || err != nil || r.Cmd != CmdGet {
		t.Fatal(n, err, r.Cmd)
	}
}

func TestNeed(t *testing.T) {
	var p Parser
	var r Request
	in := "set a 0 0 10 noreply\r\n"
	for end := len(in); end < len(in)+12; end++ {
		n, need, err := p.Next([]byte(in + "0123456789\r\n")[:end], core, &r)
		if n != 0 || need != len(in)+12 || err != ErrMore {
			t.Fatalf("with %d bytes: %d %d %v", end, n, need, err)
		}
		if r.Cmd != CmdSet || string(r.Key) != "a" || !r.NoReply || r.Value != nil {
			t.Fatalf("with %d bytes: %+v", end, r)
		}
	}
}

func TestBinaryAnswer(t *testing.T) {
	head := make([]byte, 30)
	head[0], head[1] = 0x80, 0x0b
	copy(head[12:], "opaq")
	var p Parser
	var r Request
	if _, _, err := p.Next(head, core, &r); err != nil || r.Bad != BadBinary || !r.Bad.Closes() {
		t.Fatal(err, r.Bad)
	}
	got := AnswerBad(nil, &r, core)
	if got[0] != 0x81 || got[1] != 0x0b || got[7] != 0x81 || string(got[12:16]) != "opaq" {
		t.Errorf("header % x", got[:24])
	}
	if body := got[24:]; int(got[11]) != len(body) || string(body) != binaryText {
		t.Errorf("body %q, length %d", body, got[11])
	}
}

func TestTokens(t *testing.T) {
	r := parse(t, "ms  key 2   T30 O b\r\nhi\r\n")
	for i, want := range []string{"ms", "key", "2", "T30", "O", "b"} {
		if got := string(r.Token(i)); got != want {
			t.Errorf("token %d is %q, want %q", i, got, want)
		}
	}
	if r.NToken() != 6 || r.Token(6) != nil || r.Token(-1) != nil || r.FlagStart() != 3 {
		t.Error(r.NToken(), r.FlagStart())
	}
	if tok, ok := r.Flag('T'); !ok || string(tok) != "30" {
		t.Errorf("T: %q %v", tok, ok)
	}
	if tok, ok := r.Flag('O'); !ok || len(tok) != 0 {
		t.Errorf("O: %q %v", tok, ok)
	}
	if _, ok := r.Flag('k'); ok || r.HasFlag('2') || r.HasFlag(0xff) || !r.Base64 {
		t.Error("flags that are not there")
	}
	if text := parse(t, "get v\r\n"); text.HasFlag('v') {
		t.Error("a text command has no flags")
	}
	many := parse(t, "get "+strings.Repeat("k ", 50)+"\r\n")
	if many.NToken() != MaxTokens || many.NKeys() != 50 {
		t.Error(many.NToken(), many.NKeys())
	}
}

func TestNKeys(t *testing.T) {
	f := func(in string, want int) {
		t.Helper()
		if got := parse(t, in).NKeys(); got != want {
			t.Errorf("%q has %d keys, want %d", in, got, want)
		}
	}
	f("get a\r\n", 1)
	f("get a a b\r\n", 3)
	f("gat 0 a b\r\n", 2)
	f("set a 0 0 0\r\n\r\n", 1)
	f("mg a v k\r\n", 1)
	f("mn\r\n", 0)
	f("stats items\r\n", 0)
	f("flush_all 0\r\n", 0)
}

func TestSubGet(t *testing.T) {
	f := func(in string, want ...string) {
		t.Helper()
		r := parse(t, in)
		buf := make([]byte, 0, 4) // grows: what was rendered before must stay
		subs := make([]Request, len(want))
		i := 0
		for key, pos, ok := r.NextKey(0); ok; key, pos, ok = r.NextKey(pos) {
			buf = SubGet(buf, r, key, &subs[i])
			i++
		}
		for i, want := range want {
			sub := &subs[i]
			if string(sub.Line) != want || sub.Bad != BadNone {
				t.Errorf("%q: sub %d is %q bad %d, want %q", in, i, sub.Line, sub.Bad, want)
			}
			again := parse(t, want+"\r\n")
			if !sameRequest(sub, again) {
				t.Errorf("%q: sub %d is %+v, parsed it is %+v", in, i, sub, again)
			}
		}
	}
	f("get a b\r\n", "get a", "get b")
	f("gets  a  bb   ccc \r\n", "gets  a", "gets  bb", "gets  ccc")
	f("gat 10 a b\r\n", "gat 10 a", "gat 10 b")

	r := parse(t, "get a "+strings.Repeat("k", 251)+"\r\n")
	_, pos, _ := r.NextKey(0)
	key, _, _ := r.NextKey(pos)
	var sub Request
	SubGet(nil, r, key, &sub)
	if got := string(AnswerBad(nil, &sub, routed)); got != "CLIENT_ERROR key too long\r\n" || sub.Bad.Closes() {
		t.Errorf("%q", got)
	}
	r = parse(t, "get a b\x00\r\n")
	for key, pos, ok := r.NextKey(0); ok; key, pos, ok = r.NextKey(pos) {
		SubGet(nil, r, key, &sub)
		if got, want := CheckWire(&sub), map[bool]Bad{false: BadNone, true: BadStore}[len(key) > 1]; got != want {
			t.Errorf("%q: %d, want %d", sub.Line, got, want)
		}
	}
}

func TestPureRead(t *testing.T) {
	f := func(in string, want bool) {
		t.Helper()
		if got := parse(t, in).PureRead(); got != want {
			t.Errorf("%q: %v", in, got)
		}
	}
	f("get a\r\n", true)
	f("mg a\r\n", true)
	f("mg a v f t h l s k Oopaque q u b\r\n", true)
	f("mg a v c\r\n", false)
	f("mg a N30\r\n", false)
	f("mg a R30\r\n", false)
	f("mg a T30\r\n", false)
	f("mg a E1\r\n", false)
	f("gets a\r\n", false)
	f("gat 0 a\r\n", false)
	f("me a\r\n", false)
	f("md a\r\n", false)
	f("incr a 1\r\n", false)
	f("set a 0 0 0\r\n\r\n", false)
}

func TestDecodeKey(t *testing.T) {
	f := func(in, want string, ok bool) {
		t.Helper()
		got, err := parse(t, in).DecodeKey([]byte("x"))
		if string(got) != "x"+want || (err == nil) != ok {
			t.Errorf("%q: %q %v", in, got, err)
		}
	}
	f("mg aGk= v\r\n", "aGk=", true)
	f("mg aGk= v b\r\n", "hi", true)
	f("ms aGkA 0 b\r\n\r\n", "hi\x00", true)
	f("mg aGk b\r\n", "", false)
	f("mg !!!! b\r\n", "", false)
	f("mg ==== b\r\n", "", false)
	f("mg aG\rk= b\r\n", "", false)
}

func TestCommands(t *testing.T) {
	for c := CmdNone; c < NumCmds; c++ {
		name := c.String()
		if (name == "") != (c == CmdNone || c == CmdEndStorage) {
			t.Errorf("%d is named %q", c, name)
		}
		if got, ok := CmdByName(name); name != "" && (got != c || !ok) {
			t.Errorf("%q is %v", name, got)
		}
	}
	if _, ok := CmdByName("GET"); ok || CmdAny.String() != "" || Cmd(255).HasKey() {
		t.Error("no such command")
	}
	list := func(has func(Cmd) bool) string {
		var names []string
		for c := CmdNone; c < NumCmds; c++ {
			if has(c) {
				names = append(names, c.String())
			}
		}
		return strings.Join(names, " ")
	}
	f := func(what string, has func(Cmd) bool, want string) {
		t.Helper()
		if got := list(has); got != want {
			t.Errorf("%s:\n got %s\nwant %s", what, got, want)
		}
	}
	f("storage", Cmd.IsStorage, "mg ms md mn ma me get gat set add cas gets gats incr decr touch append delete replace prepend")
	f("meta", Cmd.IsMeta, "mg ms md mn ma me")
	f("gets", Cmd.IsGet, "get gat gets gats")
	f("reads", Cmd.IsRead, "mg me get gets")
	f("writes", Cmd.IsWrite, "ms md ma gat set add cas gats incr decr touch append delete replace prepend")
	f("keys", Cmd.HasKey, "mg ms md ma me get gat set add cas gets gats incr decr touch append delete replace prepend")
	f("values", Cmd.HasValue, "ms set add cas append replace prepend")
}

// parse makes a request of one that must be good under the rules of a route.
func parse(t testing.TB, in string) *Request {
	t.Helper()
	var p Parser
	r := new(Request)
	n, _, err := p.Next([]byte(in), routed, r)
	if err != nil || n != len(in) || r.Bad != BadNone {
		t.Fatalf("cannot parse %q: took %d, bad %d, %v", in, n, r.Bad, err)
	}
	return r
}

// sameRequest compares all that the parser finds out.
func sameRequest(a, b *Request) bool {
	if a.Cmd != b.Cmd || !bytes.Equal(a.Line, b.Line) || !bytes.Equal(a.Value, b.Value) || !bytes.Equal(a.Key, b.Key) ||
		(a.Value == nil) != (b.Value == nil) || a.NoReply != b.NoReply || a.Quiet != b.Quiet || a.Base64 != b.Base64 ||
		a.Bad != b.Bad || a.ntok != b.ntok || a.flags != b.flags || a.nkeys != b.nkeys {
		return false
	}
	for i := range int(a.ntok) {
		if a.tok[i] != b.tok[i] {
			return false
		}
	}
	return true
}
