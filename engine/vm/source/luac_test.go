package source

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/tests/peer"
)

// FuzzAsLuac: what luac5.4 compiles, Compile does too, or says which limit is in the way; what luac5.4 refuses, Compile refuses.
func FuzzAsLuac(f *testing.F) {
	luac := peer.Find("luac5.4")
	if luac == "" {
		peer.Need(f, "luac5.4")
	}
	for _, src := range []string{"local x <const> = 'a\\u{41}' .. 0x1p4", "for a in f do if a then break end goto c ::c:: end", "a, b = b, (f(a))", "x = 1 // 2 & 3 | ~4 << 5 >> 6 ~ 7",
		"local f <close> = function(...) return ... end", "while x do break; y() end", "x = [==[\n]==] --[[ ]]", "t = {1; [2] = 3, x = 'y'}", "f\n(g)()", "local x <const> = 1; x = 2",
		"return function() ::a:: goto a end", "repeat local x until x", "#!x\n", "#\rn", "x = '\\z\n'", "do goto e local a ::e:: end", "do goto e local a <close> = b ::e:: ; ::f:: end", "_ENV = 1",
		"repeat local a <close> = f() goto c ::c:: until a", "::a:: ::b:: goto a", "break", "return ...", "function f() return ... end", "x = 0x.p1", "x = 3e", "x = 0xffffffffffffffffff"} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		if strings.HasPrefix(src, "\x1b") {
			t.Skip("precompiled code")
		}
		cmd := exec.Command(luac, "-p", "-")
		cmd.Stdin = strings.NewReader(src)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		theirs, ours := cmd.Run(), error(nil)
		if _, err := Compile([]byte(src), "fuzz"); err != nil {
			ours = err
		}
		switch {
		case theirs == nil && ours != nil && !limit(ours.Error()):
			t.Errorf("%q: %v", src, ours)
		case theirs != nil && ours == nil && !limit(stderr.String()):
			t.Errorf("%q compiles; luac5.4 says %s", src, stderr.String())
		}
	})
}

// limit reports an error that only says that something is too large, here or there, or is documented as missing.
func limit(msg string) bool {
	for _, s := range []string{"too many", "overflow", "too long", "_ENV", "too deep"} {
		if strings.Contains(msg, s) {
			return true
		}
	}
	return false
}
