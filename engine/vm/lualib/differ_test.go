package lualib

import (
	"bytes"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/vm/source"
	"github.com/tidepool-proxy/tidepool/tests/peer"
)

var (
	differSeed     = flag.Uint64("differ.seed", 1, "seed of TestDiffer's programs; 0: the time, to look for what nobody has seen")
	differPrograms = flag.Int("differ.programs", 6, "how many programs of each kind TestDiffer makes")
)

// TestDiffer runs generated programs here and in Lua 5.4 and compares what they print, line by line. What may differ, and why,
// is in allowed.
func TestDiffer(t *testing.T) {
	lua := peer.Need(t, "lua5.4")
	seed := *differSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d (-differ.seed)", seed)
	g := &generator{rand: rand.New(rand.NewPCG(seed, 1))}
	counts := map[string]int{}
	for range *differPrograms {
		for _, program := range []string{g.expressions(ints), g.expressions(floats), g.statements()} {
			differ(t, lua, program, counts)
		}
	}
	var names []string
	for name, n := range counts {
		names = append(names, strconv.Itoa(n)+" "+name)
	}
	sort.Strings(names)
	t.Log("lines: ", strings.Join(names, "; "))
	if counts["the same"] < counts["other error text"] {
		t.Error("most lines are errors: the generator tests nothing")
	}
}

// differ runs one program on both sides.
func differ(t *testing.T, lua, program string, counts map[string]int) {
	file := filepath.Join(t.TempDir(), "p.lua")
	if err := os.WriteFile(file, []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(lua, "p.lua")
	cmd.Dir = filepath.Dir(file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	theirs, err := cmd.Output()
	if err != nil && cmd.ProcessState.ExitCode() < 0 || bytes.Contains(theirs, []byte("(metamethod 'close')")) {
		counts["programs that the peer crashes on, or forgets what to close in (5.4.4)"]++
		return
	}
	if err != nil {
		t.Fatalf("lua5.4: %v\n%s\n%s", err, stderr.String(), program)
	}
	ours, err := runNamed(t, Options{}, "p.lua", program)
	if err != nil {
		t.Fatalf("%v\n%s", err, program)
	}
	src := strings.Split(program, "\n")
	a, b := strings.Split(ours, "\n"), strings.Split(string(theirs), "\n")
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		why := allowed(x, y)
		counts[why]++
		if why == "" {
			line, _, _ := strings.Cut(y, "\t")
			n, _ := strconv.Atoi(line)
			t.Errorf("ours   %q\ntheirs %q\n%s", x, y, src[max(min(n-1, len(src)-1), 0)])
			if n == 0 {
				t.Fatalf("the program:\n%s", program)
			}
		}
	}
}

var (
	address  = regexp.MustCompile(`0x[0-9a-f]{6,}`)
	numeral  = regexp.MustCompile(`-?[0-9.]+(e[+-]?[0-9]+)?`)
	variable = regexp.MustCompile(` \((local|global|field|upvalue|constant|method) '[^']*'\)`)
)

// allowed says why two lines may stand for the same, "" if they may not.
func allowed(ours, theirs string) string {
	theirs = strings.ReplaceAll(theirs, "-nan", "nan")
	ours, theirs = strings.ReplaceAll(ours, "-0.000|", "0.000|"), strings.ReplaceAll(theirs, "-0.000|", "0.000|") // the sign of zero
	ours, theirs = address.ReplaceAllString(ours, ""), address.ReplaceAllString(theirs, "")
	o, t := strings.SplitN(ours, "\t", 3), strings.SplitN(theirs, "\t", 3)
	if ours == theirs {
		return "the same"
	}
	if len(o) < 3 || len(t) < 3 || o[0] != t[0] {
		return ""
	}
	failed, theyFailed := o[1] == "false", t[1] == "false"
	switch {
	case failed && strings.Contains(o[2], "numbers are doubles"):
		return "error: beyond 2^53"
	case failed && theyFailed && o[2] == variable.ReplaceAllString(t[2], ""):
		return "the same but for the variable's name"
	case failed && strings.Contains(o[2], "attempt to compare table with ") || failed && strings.Contains(o[2], " with table"):
		return "__lt and __le between values of two types"
	case failed && strings.Contains(o[2], "attempt to compare two table values"):
		return "__lt and __le that one of two tables has"
	case failed && theyFailed:
		return "other error text"
	case failed && strings.Contains(o[2], "attempt to divide by zero"):
		return "n // 0 where n is an integral float"
	case theyFailed && strings.Contains(t[2], "'n%0'"):
		return "n % 0 is not a number"
	case failed && strings.Contains(o[2], "'n%0'"):
		return "string % 0 where the string is an integral float"
	case strings.Trim(o[2], "-") == "inf" && strings.Trim(t[2], "-") == "inf":
		return "the sign of zero"
	case failed && strings.Contains(o[2], "'fmod' (zero)") && strings.Contains(t[2], "nan"):
		return "math.fmod(n, 0) where n is an integral float"
	}
	for _, n := range numeral.FindAllString(o[2]+" "+t[2], -1) {
		if v, err := strconv.ParseFloat(n, 64); err == nil && math.Abs(v) >= source.MaxExact {
			return "beyond 2^53"
		}
	}
	return ""
}

func TestAllowed(t *testing.T) {
	for _, c := range [][2]string{
		{"1\ttrue\t3", "1\ttrue\t4"}, {"1\ttrue\t3", "1\tfalse\terror"}, {"1\tfalse\terror", "1\ttrue\t3"}, {"1\ttrue\t3", "2\ttrue\t3"}, {"", "1\ttrue\t3"},
		{"1\ttrue\tnan", "1\ttrue\t3"},
	} {
		if why := allowed(c[0], c[1]); why != "" {
			t.Errorf("%q and %q: %s", c[0], c[1], why)
		}
	}
}
