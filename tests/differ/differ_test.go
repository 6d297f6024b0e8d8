package differ

import (
	"bytes"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// What the comparison lets pass, and what it does not.
func TestDiffer(t *testing.T) {
	f := func(ours, theirs string, same bool) {
		t.Helper()
		if d := New(1, 0, false).Differ(Wire(ours), Wire(theirs)); (d == "") != same {
			t.Errorf("%q and %q: %q", ours, theirs, d)
		}
	}
	f("", "", true)
	f("HD", "", false)
	f("HD|HD", "HD", false)
	f("STORED", "NOT_STORED", false)
	f("VERSION 1", "VERSION 2", true)
	f("HD t100", "HD t99", true)
	f("HD t100", "HD t90", false)
	f("HD t100", "HD t-1", false)
	f("HD h0", "HD h1", false)
	f("HD s4 t5", "HD t5 s4", false)
	f("VA 2 l0|hi", "VA 2 l1|hi", true)
	f("VA 2|hi", "VA 2|ho", false)
	f("VA 6|a\r\nb\r\n", "VA 6|a\r\nc\r\n", false)
	f("VALUE a 0 4|t100|END", "VALUE a 0 4|t101|END", false) // a value is no answer line
	f("VALUE a 0 2|hi|END", "VALUE a 1 2|hi|END", false)
	f("HD c7", "HD c9", true)
	f("HD c7|HD c7", "HD c9|HD c9", true)
	f("HD c7|HD c7", "HD c9|HD c8", false)
	f("HD c7|HD c8", "HD c9|HD c9", false)
	f("HD c7", "HD c0", false)
	f("VALUE a 0 0 7||VALUE b 0 0 8||END", "VALUE a 0 0 9||VALUE b 0 0 9||END", false)
	f("ME a exp=-1 la=0 cas=1 fetch=no cls=1 size=63", "ME a exp=-1 la=1 cas=1 fetch=no cls=5 size=99", true)
	f("ME a exp=-1 la=0 cas=1 fetch=no cls=1 size=63", "ME a exp=-1 la=0 cas=1 fetch=yes cls=1 size=63", false)
}

// CAS numbers are given to each server in its own terms.
func TestCASNumbersAreMapped(t *testing.T) {
	g := New(1, 0, false)
	if d := g.Differ("HD c7\r\n", "HD c70\r\n"); d != "" {
		t.Fatal(d)
	}
	r := Request("ms a 1 C{70}\r\nx\r\nmd a C{0}\r\nmd a C{5}\r\n")
	if got, want := g.Ours(r), "ms a 1 C7\r\nx\r\nmd a C0\r\nmd a C5\r\n"; got != want {
		t.Errorf("ours %q, want %q", got, want)
	}
	if got, want := r.Theirs(), "ms a 1 C70\r\nx\r\nmd a C0\r\nmd a C5\r\n"; got != want {
		t.Errorf("theirs %q, want %q", got, want)
	}
}

// A seed says all of a run; a run makes all that is wanted of it.
func TestGenerator(t *testing.T) {
	a, b := New(5, 1000, false), New(5, 1000, false)
	var c Coverage
	for range 20_000 {
		x, y := a.Next(), b.Next()
		if x != y {
			t.Fatalf("%q and %q", x, y)
		}
		c.Note(x.Theirs(), "")
	}
	for _, m := range c.Missing(false) {
		if !strings.Contains(m, " < ") {
			t.Errorf("never made: %s", m)
		}
	}
	if len(c.Missing(false)) == 0 {
		t.Error("nothing was answered, and nothing is missed")
	}
}

// What is spoilt keeps its value, and the length that its line says.
func TestSpoilt(t *testing.T) {
	a, b := New(5, 1000, false), New(5, 1000, false)
	changed := 0
	for range 20_000 {
		x, y := a.Spoilt(), b.Spoilt()
		if x != y {
			t.Fatalf("%q and %q", x, y)
		}
		w := words(string(x))
		if at := map[string]int{"set": 4, "add": 4, "replace": 4, "append": 4, "prepend": 4, "cas": 4, "ms": 2}[w[0]]; at > 0 {
			line, _, _ := strings.Cut(string(x), "\r\n")
			if n := len(x) - len(line) - len("\r\n\r\n"); w[at] != strconv.Itoa(n) {
				t.Fatalf("%q has a value of %d bytes", x, n)
			}
			changed++
		}
	}
	if changed == 0 {
		t.Error("no value was stored")
	}
}

func TestWhyNot(t *testing.T) {
	f := func(request string, always, old bool) {
		t.Helper()
		if got := WhyNot(Wire(request), false); (got != "") != always {
			t.Errorf("%q: %q", request, got)
		}
		if got := WhyNot(Wire(request), true); (got != "") != (always || old) {
			t.Errorf("%q to an old one: %q", request, got)
		}
	}
	f("mg a v k", false, false)
	f("mg E", false, false)
	f("mg a E5", false, true)
	f("ms a 1 MA|E", false, false)
	f("ms a 1 MAPPEND|x", false, true)
	f("mg a T-1 t", true, true)
	f("mg a T-1 v", false, false)
	f("ma a T0", true, true)
	f("ma a T0 D0", false, false)
	f("md Ymlu b x", true, true)
	f("ms Ymlu 1 b MA|x", true, true)
	f("ms Ymlu 1 b MR|x", false, false)
	f("ma Ymlu b D1", true, true)
	f("ma Ymlu b D0", false, false)
	f("ms a 1 !|x", true, true)
	f("ms a 1 O!|x", false, false)
}

func TestTranscript(t *testing.T) {
	want := &Transcript{Version: "1.6.45", Time: 1700000000, Seed: 3, List: []Exchange{
		{"ms a 3 C{7}\r\n\"\\\x00\r\n", "HD c8\r\n"}, {"mg a q\r\n", ""},
	}}
	var b bytes.Buffer
	if err := want.Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := ReadTranscript(strings.NewReader(b.String()))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v: got %+v, want %+v", err, got, want)
	}
	for _, bad := range []string{"", "nonsense\n", b.String() + "? x\n", b.String() + "> \\z\n"} {
		if _, err := ReadTranscript(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
