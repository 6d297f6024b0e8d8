// Requests that scripts build and edit.

package mc

import (
	"errors"
	"strings"
	"testing"
)

func TestNewRequest(t *testing.T) {
	f := func(line, value string, want error) {
		t.Helper()
		var v []byte
		if value != "" {
			v = []byte(value)
		}
		r := Request{Cmd: CmdQuit}
		err := NewRequest(&r, []byte(line), v)
		if !errors.Is(err, want) {
			t.Errorf("%.60q %q: %v, want %v", line, value, err, want)
			return
		}
		if err != nil {
			if r.Cmd != CmdQuit {
				t.Errorf("%.60q: changed although it failed", line)
			}
			return
		}
		if got := string(AppendWire(nil, &r)); got != line+value {
			t.Errorf("%q %q travels as %q", line, value, got)
		}
	}
	f("mg a v\r\n", "", nil)
	f("version\r\n", "", nil)
	f("ms a 2\r\n", "hi\r\n", nil)
	f("set a 0 0 0\r\n", "\r\n", nil)
	f("set a 0 2147483648 1\r\n", "v\r\n", nil)
	f("set a x 0 1\r\n", "v\r\n", nil)
	f("mg "+strings.Repeat("k", 100)+strings.Repeat(" ", 395)+"\r\n", "", nil)
	f("mg "+strings.Repeat("k", 100)+strings.Repeat(" ", 396)+"\r\n", "", ErrReqTooLong)
	f("mg a", "", ErrReqEnd)
	f("mg a\n", "", ErrReqEnd)
	f("", "", ErrReqEnd)
	f("\r\n", "", ErrReqParse)
	f("bogus a\r\n", "", ErrReqParse)
	f("mg\r\n", "", ErrReqParse)
	f("set a 0 0 x\r\n", "hi\r\n", ErrReqParse)
	f("get a b\r\n", "", ErrReqParse) // a backend would answer with two values
	f("ms a 2\r\n", "hi", ErrValueEnd)
	f("ms a 2\r\n", "hello\r\n", ErrValueLength)
	f("ms a 9\r\n", "hello\r\n", ErrValueLength)
	f("ms a 2\r\n", "", ErrValueLength)
	f("mg a\r\n", "hi\r\n", ErrValueLength)
	f("mg a\r\nmg b\r\n", "", ErrControl)
	f("mg a\nmg b\r\n", "", ErrControl)
	f("mg a\tb\r\n", "", ErrControl)
	f("mg a\x7f\r\n", "", ErrControl)
	f("mg a\x00\r\n", "", ErrControl)
	f("mg \u00fc\r\n", "", nil)
}

// The texts are part of the interface.
func TestEditTexts(t *testing.T) {
	f := func(err error, want string) {
		t.Helper()
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
	f(ErrEdited, "token(): request malformed after edit")
	f(ErrLtrimKey, "ltrimkey cannot zero out key")
	f(ErrRtrimKey, "rtrimkey cannot zero out key")
	f(ErrReqTooLong, "request length too long")
	f(ErrReqEnd, "request must end with \r\n")
	f(ErrReqParse, "failed to parse request")
	f(ErrValueEnd, "value passed to mcp.request must end with \\r\\n")
	f(ErrHasFlagChar, "has_flag(): meta flag must be a single character")
	f(ErrHasFlagLetter, "has_flag(): invalid flag, must be A-Z,a-z")
	f(ErrFlagChar, "request: meta flag must be a single character")
	f(ErrFlagLetter, "request: invalid flag, must be A-Z,a-z")
	f(ErrFlagArg, "request: invalid flag argument")
}

// edits runs one edit on in and checks the line that comes of it; want "" means that it fails and changes nothing.
func edits(t *testing.T, in, want string, edit func(r *Request, buf []byte) ([]byte, bool)) {
	t.Helper()
	r := parse(t, in)
	before := *r
	buf, ok := edit(r, []byte("taken"))
	if !strings.HasPrefix(string(buf), "taken") {
		t.Errorf("%q: the buffer's owner lost what was in it: %q", in, buf)
	}
	if ok != (want != "") {
		t.Errorf("%q: success is %v, line %q", in, ok, r.Line)
		return
	}
	if !ok {
		if !sameRequest(r, &before) || string(buf) != "taken" {
			t.Errorf("%q: changed although it failed, to %q", in, r.Line)
		}
		return
	}
	if string(r.Line) != want {
		t.Errorf("%q:\n got %q\nwant %q", in, r.Line, want)
	}
	again := parse(t, want+"\r\n"+string(r.Value))
	if !sameRequest(r, again) {
		t.Errorf("%q: after the edit %+v, parsed anew %+v", in, r, again)
	}
}

func TestSetToken(t *testing.T) {
	f := func(in string, i int, tok, want string) {
		t.Helper()
		edits(t, in, want, func(r *Request, buf []byte) ([]byte, bool) {
			out, err := r.SetToken(buf, i, []byte(tok))
			if err != nil && err != ErrEdited {
				t.Errorf("%q: %v", in, err)
			}
			return out, err == nil
		})
	}
	f("set setints 5 10 5\r\nhello\r\n", 2, "20", "set setints 20 10 5")
	f("mg a N50 k\r\n", 1, "b", "mg b N50 k")
	f("mg a   N50   k\r\n", 2, "T1", "mg a   T1 k")
	f("mg a N50 k\r\n", 2, "", "mg a k")
	f("mg a N50 k\r\n", 3, "", "mg a N50")
	f("mg a\r\n", 0, "md", "md a")
	f("mg a\r\n", 5, "x", "mg a")
	f("get a\r\n", 1, "", "")
	f("version\r\n", 0, "", "")
	f("mg a\r\n", 0, "bogus", "")
	f("mg a k\r\n", 2, "-", "")
	f("mg a\r\n", 1, "b c", "")
	f("mg a\r\n", 1, "b\r\nmd c", "")
	f("mg a\r\n", 1, "b\n", "")
	f("mg a\r\n", 1, "b\x7f", "")
	f("mg a\r\n", 1, strings.Repeat("x", 495), "")
	f("set a 0 0 2\r\nhi\r\n", 4, "3", "")
	f("set a 0 0 2\r\nhi\r\n", 4, "02", "set a 0 0 02")
	f("set a 0 0 2\r\nhi\r\n", 0, "get", "")
	f("set a 0 0 2\r\nhi\r\n", 2, "x", "set a x 0 2")
	f("set a 0 0 2\r\nhi\r\n", 3, "2147483648", "set a 0 2147483648 2")
	f("mg a\r\n", 0, "ms", "")
}

func TestTrimKey(t *testing.T) {
	f := func(in string, left bool, n int, want string) {
		t.Helper()
		edits(t, in, want, func(r *Request, buf []byte) ([]byte, bool) {
			trim, fail := (*Request).TrimKeyRight, ErrRtrimKey
			if left {
				trim, fail = (*Request).TrimKeyLeft, ErrLtrimKey
			}
			out, err := trim(r, buf, n)
			if err != nil && err != fail {
				t.Errorf("%q: %v", in, err)
			}
			return out, err == nil
		})
	}
	f("get foo/abc\r\n", true, 4, "get     abc")
	f("get foo/abc\r\n", false, 4, "get foo    ")
	f("set foo/abc 0 0 2\r\nhi\r\n", true, 4, "set     abc 0 0 2")
	f("gat 9 foo/abc\r\n", true, 4, "gat 9     abc")
	f("mg foo/abc v\r\n", false, 4, "mg foo     v")
	f("get abc\r\n", true, 0, "get abc")
	f("get abc\r\n", true, 3, "")
	f("get abc\r\n", true, 4, "")
	f("get abc\r\n", false, 3, "")
	f("get abc\r\n", false, -1, "")
	f("version\r\n", true, 1, "")
}

func TestSetKey(t *testing.T) {
	f := func(in, key, want string) {
		t.Helper()
		edits(t, in, want, func(r *Request, buf []byte) ([]byte, bool) {
			out, err := r.SetKey(buf, []byte(key))
			return out, err == nil
		})
	}
	f("get a\r\n", "bb", "get bb")
	f("gats 10 a\r\n", "bb", "gats 10 bb")
	f("ms a 2 q\r\nhi\r\n", "bb", "ms bb 2 q")
	f("get a\r\n", "", "")
	f("get a\r\n", "b c", "")
	f("version\r\n", "b", "")
}

func TestFlagEdits(t *testing.T) {
	type edit = func(r *Request, buf []byte) ([]byte, bool)
	add := func(f byte, tok string) edit {
		return func(r *Request, buf []byte) ([]byte, bool) { return r.FlagAdd(buf, f, []byte(tok)) }
	}
	set := func(f byte, tok string) edit {
		return func(r *Request, buf []byte) ([]byte, bool) { return r.FlagSet(buf, f, []byte(tok)) }
	}
	replace := func(f, with byte, tok string) edit {
		return func(r *Request, buf []byte) ([]byte, bool) { return r.FlagReplace(buf, f, with, []byte(tok)) }
	}
	del := func(f byte) edit {
		return func(r *Request, buf []byte) ([]byte, bool) { return r.FlagDel(buf, f) }
	}
	token := func(f byte, tok string) edit {
		return func(r *Request, buf []byte) ([]byte, bool) {
			out, err := r.SetFlagToken(buf, f, []byte(tok))
			return out, err == nil
		}
	}
	f := func(in string, e edit, want string) { t.Helper(); edits(t, in, want, e) }

	f("mg a N50\r\n", add('F', ""), "mg a N50 F")
	f("mg a N50\r\n", add('F', "1234"), "mg a N50 F1234")
	f("mg a N50  \r\n", add('F', ""), "mg a N50   F")
	f("ms a 2\r\nhi\r\n", add('T', "9"), "ms a 2 T9")
	f("mg a Oexists\r\n", add('O', "overwrite"), "")
	f("mg a\r\n", add('O', "a b"), "")
	f("mg a\r\n", add('O', "x\r\nmd b"), "")
	f("mg a\r\n", add('O', strings.Repeat("x", 500)), "")
	f("get a\r\n", add('O', "x"), "")
	f("mg a"+strings.Repeat(" v", 18)+"\r\n", add('O', "x"), "") // one token too many

	f("mg a N50\r\n", set('F', ""), "mg a N50 F")
	f("mg a N50 Oexists\r\n", set('O', "overwrite"), "mg a N50 Ooverwrite")
	f("mg a N50 Oexists T73 c\r\n", set('O', "overwrite"), "mg a N50 Ooverwrite T73 c")
	f("mg a N50 Oexists T73 c\r\n", set('O', ""), "mg a N50 O T73 c")
	f("get a\r\n", set('O', ""), "")

	f("mg a N50 F1234 T73\r\n", replace('F', 'O', "foo"), "mg a N50 Ofoo T73")
	f("mg a N50 F1234 T73\r\n", replace('F', 'O', ""), "mg a N50 O T73")
	f("mg a F\r\n", replace('F', 'O', "foo"), "mg a Ofoo")
	f("mg a k\r\n", replace('F', 'O', "foo"), "mg a k Ofoo")

	f("mg a N50 Oremove T80\r\n", del('O'), "mg a N50 T80")
	f("mg a N51 T81 Oremove\r\n", del('O'), "mg a N51 T81")
	f("mg a k\r\n", del('O'), "")
	f("mg Oa k\r\n", del('O'), "") // a key is no flag

	f("mg a T30 k\r\n", token('T', "N100"), "mg a N100 k")
	f("mg a T30 k\r\n", token('T', ""), "mg a k")
	f("mg a k\r\n", token('T', "N100"), "mg a k")
	f("mg a T30 k\r\n", token('T', "- "), "")
}

// Edits one after another into one buffer: each begins with what the last one made.
func TestEditsInOneBuffer(t *testing.T) {
	r := parse(t, "mg /foo/a T30 q\r\n")
	buf := make([]byte, 0, 8)
	buf, _ = r.TrimKeyLeft(buf, 5)
	first := *r
	buf, _ = r.FlagSet(buf, 'T', []byte("60"))
	buf, _ = r.FlagAdd(buf, 'O', []byte("x"))
	buf, err := r.SetToken(buf, 1, []byte("bbb"))
	if err != nil || len(buf) == 0 {
		t.Fatal(err)
	}
	if got := string(AppendWire(nil, r)); got != "mg      bbb T60   Ox\r\n" {
		t.Errorf("%q", got)
	}
	if got := string(first.Line); got != "mg      a T30 q" || string(first.Key) != "a" {
		t.Errorf("the first edit's copy has become %q", got)
	}
}

func TestFlagName(t *testing.T) {
	f := func(name func(string) (byte, error), s string, want error) {
		t.Helper()
		if c, err := name(s); err != want || err == nil && c != s[0] {
			t.Errorf("%q: %c %v, want %v", s, c, err, want)
		}
	}
	f(ReadFlagName, "q", nil)
	f(ReadFlagName, "Z", nil)
	f(ReadFlagName, "", ErrHasFlagChar)
	f(ReadFlagName, "qq", ErrHasFlagChar)
	f(ReadFlagName, "1", ErrHasFlagLetter)
	f(ReadFlagName, "[", ErrHasFlagLetter)
	f(ReadFlagName, "@", ErrHasFlagLetter)
	f(EditFlagName, "q", nil)
	f(EditFlagName, "", ErrFlagChar)
	f(EditFlagName, "\xff", ErrFlagLetter)
}

func TestMatchRes(t *testing.T) {
	f := func(req, resp string, ok bool, why string) {
		t.Helper()
		gotOK, gotWhy := MatchRes(parse(t, req), answer(t, resp))
		if gotOK != ok || gotWhy != why {
			t.Errorf("%q %q: %v %q", req, resp, gotOK, gotWhy)
		}
	}
	f("mg a k\r\n", "HD ka\r\n", true, "")
	f("mg a k v\r\n", "VA 2 ka\r\nhi\r\n", true, "")
	f("mg a k\r\n", "HD kb\r\n", false, MatchKey)
	f("mg a Ox\r\n", "HD Ox\r\n", true, "")
	f("mg a Ox\r\n", "HD Oy\r\n", false, MatchOpaque)
	f("mg a Ox\r\n", "EN\r\n", false, MatchNoOpaque)
	f("mg a Ox k\r\n", "HD ka Ox\r\n", true, "")
	f("mg a v\r\n", "HD\r\n", false, "")
	f("mg a k\r\n", "SERVER_ERROR no\r\n", false, MatchUnparsed)
	if ok, why := MatchRes(parse(t, "mg a k\r\n"), new(Response)); ok || why != MatchUnparsed {
		t.Error("no answer at all")
	}
}
