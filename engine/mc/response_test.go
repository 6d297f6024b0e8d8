// Answers: what is read of them, and what is done with them.

package mc

import (
	"bytes"
	"strings"
	"testing"
)

// answer parses in, which must be one whole answer, and moves it to memory of its own.
func answer(t testing.TB, in string) *Response {
	t.Helper()
	r := new(Response)
	n, _, err := ParseResponse([]byte(in+"STORED\r\n"), r)
	if err != nil || n != len(in) {
		t.Fatalf("cannot parse %q: took %d, %v", in, n, err)
	}
	r.Rebase([]byte(in))
	return r
}

func TestParseResponse(t *testing.T) {
	f := func(in string, code Code, typ Type, value, line, key string) {
		t.Helper()
		r := answer(t, in)
		if r.Code != code || r.Type != typ {
			t.Errorf("%q: code %d type %d, want %d %d", in, r.Code, r.Type, code, typ)
		}
		if string(r.Value()) != value || string(r.Line()) != line || string(r.Key()) != key || r.VLen() != len(value) {
			t.Errorf("%q: value %q line %q key %q", in, r.Value(), r.Line(), r.Key())
		}
		if (r.Line() == nil) != (line == "") || string(r.Raw) != in {
			t.Errorf("%q: line %v raw %q", in, r.Line(), r.Raw)
		}
		// Any part of it is too little, and with a length it says how much it needs.
		for i := range len(in) {
			n, need, err := ParseResponse([]byte(in[:i]), new(Response))
			if n != 0 || err != ErrMore || need != 0 && need != len(in) {
				t.Errorf("%q: %d %d %v", in[:i], n, need, err)
			}
		}
	}
	f("VALUE a 0 2\r\nhi\r\nEND\r\n", CodeOK, TypeGet, "hi", "", "a")
	f("VALUE a 4294967295 0 18446744073709551615\r\n\r\nEND\r\n", CodeOK, TypeGet, "", "", "a")
	f("VALUE a 0 8\r\na\r\nEND\r\n\r\nEND\r\n", CodeOK, TypeGet, "a\r\nEND\r\n", "", "a")
	f("END\r\n", CodeEnd, TypeEnd, "", "", "")
	f("STORED\r\n", CodeStored, TypeGeneric, "", "", "")
	f("NOT_STORED\r\n", CodeNotStored, TypeGeneric, "", "", "")
	f("EXISTS\r\n", CodeExists, TypeGeneric, "", "", "")
	f("NOT_FOUND\r\n", CodeNotFound, TypeGeneric, "", "", "")
	f("DELETED\r\n", CodeDeleted, TypeGeneric, "", "", "")
	f("TOUCHED\r\n", CodeTouched, TypeGeneric, "", "", "")
	f("OK\r\n", CodeOK, TypeGeneric, "", "", "")
	f("VERSION 1.6.45\r\n", CodeVersion, TypeVersion, "", "", "")
	f("0\r\n", CodeOK, TypeNumeric, "", "", "")
	f("18446744073709551615\r\n", CodeOK, TypeNumeric, "", "", "")
	f("9 \r\n", CodeOK, TypeNumeric, "", "", "")
	f("HD\r\n", CodeOK, TypeMeta, "", "", "")
	f("HD ka Ox  t-1\r\n", CodeOK, TypeMeta, "", "ka Ox  t-1", "a")
	f("HD \r\n", CodeOK, TypeMeta, "", "", "")
	f("VA 2\r\nhi\r\n", CodeOK, TypeMeta, "hi", "", "")
	f("VA 2 f0 kkey\r\nhi\r\n", CodeOK, TypeMeta, "hi", "f0 kkey", "key")
	f("VA 0 W\r\n\r\n", CodeOK, TypeMeta, "", "W", "")
	f("ME a exp=-1 la=0\r\n", CodeOK, TypeMeta, "", "a exp=-1 la=0", "")
	f("EN\r\n", CodeEnd, TypeMeta, "", "", "")
	f("NF Ox\r\n", CodeNotFound, TypeMeta, "", "Ox", "")
	f("NS\r\n", CodeNotStored, TypeMeta, "", "", "")
	f("EX\r\n", CodeExists, TypeMeta, "", "", "")
	f("MN\r\n", CodeNop, TypeMeta, "", "", "")
	f("ERROR\r\n", CodeError, TypeErrMsg, "", "", "")
	f("ERROR unknown\r\n", CodeError, TypeErrMsg, "", "", "")
	f("CLIENT_ERROR bad data chunk\r\n", CodeClientError, TypeErrMsg, "", "", "")
	f("SERVER_ERROR out of memory\r\n", CodeServerError, TypeErrMsg, "", "", "")
	f("SERVER_ERROR: shutdown not enabled\r\n", CodeServerError, TypeErrMsg, "", "", "")
}

func TestParseResponseErrors(t *testing.T) {
	f := func(in string, want error) {
		t.Helper()
		n, _, err := ParseResponse([]byte(in), new(Response))
		if n != 0 || err != want {
			t.Errorf("%.60q: %d %v, want %v", in, n, err, want)
		}
	}
	f("\r\n", ErrAnswer)
	f("\n", ErrAnswer)
	f("x\r\n", ErrAnswer)
	for _, bare := range []string{"STORED\n", "END\n", "HD\n", "5\n", "SERVER_ERROR busy\n", "VALUE a 0 2\nhi\r\nEND\r\n", "VA 2\nhi\r\n"} {
		f(bare, ErrAnswer)
	}
	f("VALUE a 0 2\r\nhi\r\nEND\nSTORED\r\n", ErrMissingEnd)
	f("XX\r\n", ErrAnswer)
	f("STORED now\r\n", ErrAnswer)
	f("ENDED\r\n", ErrAnswer)
	f("STAT pid 1\r\n", ErrAnswer)
	f("VALUE\r\n", ErrAnswer)
	f("VALUE a\r\n", ErrAnswer)
	f("VALUE a 0\r\n", ErrAnswer)
	f("VALUE a 0 x\r\n", ErrAnswer)
	f("VALUE a 0 -1\r\n", ErrAnswer)
	f("VALUE a x 2\r\nhi\r\nEND\r\n", ErrAnswer)
	f("VALUE a 0 2 x\r\nhi\r\nEND\r\n", ErrAnswer)
	f("VALUE a 0 2\r\nhi..END\r\n", ErrAnswer)
	f("VALUE a 0 2\r\nhi\r\nVALUE b 0 2\r\n", ErrMissingEnd)
	f("VALUE a 0 2\r\nhi\r\nEND\n.", ErrMissingEnd)
	f("VALUE a 0 99999999999\r\n", ErrTooBig)
	f("VALUE a 0 99999999999999999999999\r\n", ErrAnswer)
	f("VA\r\n", ErrAnswer)
	f("VA x\r\n", ErrAnswer)
	f("VA 2\r\nhello\r\n", ErrAnswer)
	f("VA 1073741825\r\n", ErrTooBig)
	f("12x\r\n", ErrAnswer)
	f(strings.Repeat("x", maxAnswerLine), ErrAnswer)
	f(strings.Repeat("x", maxAnswerLine-1), ErrMore)
}

func TestOkHitRank(t *testing.T) {
	f := func(in string, ok, hit bool, rank Rank) {
		t.Helper()
		r := answer(t, in)
		if r.OK() != ok || r.Hit() != hit || r.Rank() != rank {
			t.Errorf("%q: ok %v hit %v rank %d", in, r.OK(), r.Hit(), r.Rank())
		}
	}
	f("VALUE a 0 0\r\n\r\nEND\r\n", true, true, RankHit)
	f("VA 0\r\n\r\n", true, true, RankHit)
	f("HD\r\n", true, true, RankHit)
	f("STORED\r\n", true, true, RankHit)
	f("DELETED\r\n", true, true, RankHit)
	f("TOUCHED\r\n", true, true, RankHit)
	f("7\r\n", true, true, RankHit)
	f("END\r\n", true, false, RankMiss)
	f("EN\r\n", true, false, RankMiss)
	f("NOT_FOUND\r\n", true, true, RankMiss)
	f("NOT_STORED\r\n", true, true, RankMiss)
	f("EXISTS\r\n", true, true, RankMiss)
	f("NF\r\n", true, true, RankMiss)
	f("NS\r\n", true, true, RankMiss)
	f("EX\r\n", true, true, RankMiss)
	f("ERROR\r\n", false, false, RankError)
	f("CLIENT_ERROR x\r\n", false, false, RankError)
	f("SERVER_ERROR x\r\n", false, false, RankError)
	none := new(Response)
	if none.OK() || none.Hit() || none.Value() != nil || none.Line() != nil || none.Key() != nil || none.Text() != nil {
		t.Error("a blank Response is an answer")
	}
	if !(RankHit > RankMiss && RankMiss > RankError && RankError > RankTimeout && RankTimeout > RankUnsent && none.Rank() == RankTimeout) {
		t.Error("the order is hit > miss > error > timeout > unsent")
	}
}

func TestResponseFlags(t *testing.T) {
	f := func(in string, flag byte, tok string, has bool, blanked string) {
		t.Helper()
		r := answer(t, in)
		got, ok := r.Flag(flag)
		if string(got) != tok || ok != has {
			t.Errorf("%q %c: %q %v", in, flag, got, ok)
		}
		if ok := r.FlagBlank(flag); ok != has || string(r.Raw) != blanked {
			t.Errorf("%q %c: blanked it is %q %v", in, flag, r.Raw, ok)
		}
	}
	f("HD t30 kkey\r\n", 't', "30", true, "HD     kkey\r\n")
	f("HD t30 kt\r\n", 'k', "t", true, "HD t30   \r\n")
	f("VA 2 s2 W\r\nhi\r\n", 'W', "", true, "VA 2 s2  \r\nhi\r\n")
	f("VA 2 s2 W\r\nhi\r\n", 'h', "", false, "VA 2 s2 W\r\nhi\r\n")
	f("HD kt\r\n", 't', "", false, "HD kt\r\n")
	f("HD\r\n", 't', "", false, "HD\r\n")
	f("STORED\r\n", 'S', "", false, "STORED\r\n")
	f("VALUE t 0 1\r\nx\r\nEND\r\n", 't', "", false, "VALUE t 0 1\r\nx\r\nEND\r\n")
	f("ME key la=1\r\n", 'l', "", false, "ME key la=1\r\n")
}

func TestResponseParts(t *testing.T) {
	r := answer(t, "VALUE a 0 2\r\nhi\r\nEND\r\n")
	if got := string(r.WithoutEnd()); got != "VALUE a 0 2\r\nhi\r\n" {
		t.Errorf("without END: %q", got)
	}
	if got := string(r.ValueCRLF()); got != "hi\r\n" {
		t.Errorf("value with CRLF: %q", got)
	}
	if got := string(r.Text()); got != "VALUE a 0 2" {
		t.Errorf("text: %q", got)
	}
	if got := answer(t, "END\r\n").WithoutEnd(); len(got) != 0 {
		t.Errorf("a miss without END: %q", got)
	}
	if got := string(answer(t, "SERVER_ERROR x\r\n").WithoutEnd()); got != "SERVER_ERROR x\r\n" {
		t.Errorf("an error without END: %q", got)
	}
	if r := answer(t, "HD\r\n"); r.Value() != nil || r.ValueCRLF() != nil {
		t.Error("no value")
	}
	if r := answer(t, "VA 0\r\n\r\n"); r.Value() == nil || string(r.ValueCRLF()) != "\r\n" {
		t.Error("an empty value is a value")
	}
	moved := bytes.Clone(r.Raw)
	copy(r.Raw, bytes.Repeat([]byte("x"), len(r.Raw)))
	if r.Rebase(moved); string(r.Value()) != "hi" || string(r.Key()) != "a" {
		t.Errorf("moved: %q %q", r.Value(), r.Key())
	}
}

func TestAppendRekeyed(t *testing.T) {
	req := parse(t, "get /foo/key\r\n")
	f := func(in, want string) {
		t.Helper()
		got := string(AppendRekeyed(nil, answer(t, in), req))
		if got != want {
			t.Errorf("%q: %q", in, got)
		}
		answer(t, got)
	}
	f("VALUE key 0 2 9\r\nhi\r\nEND\r\n", "VALUE /foo/key 0 2 9\r\nhi\r\nEND\r\n")
	f("VA 2 f0 kkey Ox\r\nhi\r\n", "VA 2 f0 k/foo/key Ox\r\nhi\r\n")
	f("HD kkey\r\n", "HD k/foo/key\r\n")
	f("VA 2 kaGk= b s2\r\nhi\r\n", "VA 2 k/foo/key s2\r\nhi\r\n") // the item is of whoever wrote its key so, the answer is this client's
	f("HD b f0\r\n", "HD b f0\r\n")
	f("HD f0\r\n", "HD f0\r\n")
	f("END\r\n", "END\r\n")
	req = parse(t, "mg aGk= b k v\r\n")
	f("VA 2 khi Ox\r\nhi\r\n", "VA 2 kaGk= b Ox\r\nhi\r\n")
	f("VA 2 kaGg= b Ox\r\nhi\r\n", "VA 2 kaGk= b Ox\r\nhi\r\n")
	f("HD Ox khi\r\n", "HD Ox kaGk= b\r\n")
	f("STORED\r\n", "STORED\r\n")
}

func TestSuppressAnswer(t *testing.T) {
	f := func(req, resp string, want bool) {
		t.Helper()
		if got := SuppressAnswer(parse(t, req), answer(t, resp)); got != want {
			t.Errorf("%q %q: %v", req, resp, got)
		}
	}
	f("mg a q\r\n", "EN\r\n", true)
	f("mg a q\r\n", "HD\r\n", false)
	f("mg a q v\r\n", "VA 0\r\n\r\n", false)
	f("mg a\r\n", "EN\r\n", false)
	f("ms a 2 q\r\nhi\r\n", "HD\r\n", true)
	f("ms a 2 q\r\nhi\r\n", "NS\r\n", false)
	f("ms a 2\r\nhi\r\n", "HD\r\n", false)
	f("md a q\r\n", "HD\r\n", true)
	f("md a q\r\n", "NF\r\n", false)
	f("md a q\r\n", "EX\r\n", false)
	f("ma a q\r\n", "HD\r\n", true)
	f("ma a q\r\n", "SERVER_ERROR x\r\n", false)
	f("set a 0 0 2 noreply\r\nhi\r\n", "STORED\r\n", true)
	f("set a 0 0 2 noreply\r\nhi\r\n", "SERVER_ERROR x\r\n", false)
	f("set a 0 0 2\r\nhi\r\n", "STORED\r\n", false)
	f("delete a noreply\r\n", "NOT_FOUND\r\n", true)
}

func TestNull(t *testing.T) {
	f := func(req, null, reflected string) {
		t.Helper()
		r := parse(t, req)
		if got := NullAnswer(r.Cmd); got != null {
			t.Errorf("%q: %q", req, got)
		}
		if got := string(AppendNull(nil, r)); got != reflected {
			t.Errorf("%q: reflected %q", req, got)
		}
	}
	f("mg a k Ox v\r\n", "EN\r\n", "EN ka Ox\r\n")
	f("mg aGk= Ox b\r\n", "EN\r\n", "EN Ox\r\n")
	f("me a\r\n", "EN\r\n", "EN\r\n")
	f("mn\r\n", "MN\r\n", "MN\r\n")
	f("ms a 2 k T1 Ox\r\nhi\r\n", "NS\r\n", "NS ka Ox\r\n")
	f("md aGk= b k\r\n", "NF\r\n", "NF kaGk= b\r\n")
	f("ma a\r\n", "NF\r\n", "NF\r\n")
	for _, c := range []Cmd{CmdGet, CmdGets, CmdGat, CmdGats} {
		if NullAnswer(c) != "END\r\n" {
			t.Error(c)
		}
	}
	f("set a 0 0 2\r\nhi\r\n", "NOT_STORED\r\n", "NOT_STORED\r\n")
	f("cas a 0 0 2 1\r\nhi\r\n", "NOT_STORED\r\n", "NOT_STORED\r\n")
	f("incr a 1\r\n", "NOT_FOUND\r\n", "NOT_FOUND\r\n")
	f("touch a 1\r\n", "NOT_FOUND\r\n", "NOT_FOUND\r\n")
	f("delete a\r\n", "NOT_FOUND\r\n", "NOT_FOUND\r\n")
	f("version\r\n", "", "")
	if NullAnswer(CmdAny) != "" || NullAnswer(255) != "" {
		t.Error("no command, no answer")
	}
	for c := CmdNone; c < NumCmds; c++ {
		if null := NullAnswer(c); c.HasKey() && answer(t, null).Rank() != RankMiss {
			t.Errorf("%v: %q is no miss", c, null)
		}
	}
}
