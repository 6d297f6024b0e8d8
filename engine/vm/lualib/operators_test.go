package lualib

import (
	"strings"
	"testing"
)

// TestDoubles: where one kind of number cannot do as Lua 5.4 does, there is an error and no wrong result.
func TestDoubles(t *testing.T) {
	const exact = "(numbers are doubles: integers are exact to 2^53)"
	for _, c := range []struct{ src, want string }{
		{"local big = 2^53 + 2 return big & 1", "number has no integer representation " + exact},
		{"return ~(2^60) ", "number has no integer representation " + exact},
		{"local f = 0xcbf29ce484222325 return f ~ 1", "number has no integer representation " + exact},
		{"return ~0 >> 1", "result of integer operation has no exact number " + exact},
		{"local one = 1 return (one << 62) + one | one", "result of integer operation has no exact number " + exact},
		{"local x = 1.0 return x // 0", "attempt to divide by zero"},
		{`return (string.unpack("j", "\1\2\3\4\5\6\7\8"))`, "8-byte integer 578437695752307201 has no exact number " + exact},
		{"for k in next, {}, nil, setmetatable({}, {__close = print}) do end", "the fourth value of a generic 'for'"},
	} {
		if _, err := run(t, Options{}, c.src); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n  got  %v\n  want %s", c.src, err, c.want)
		}
	}
	const fine = `
		print(1 << 62, 1 << 53, -1 << 62, 2^53 | 0, -(2^53) | 0, 0x7fffffffffffffff & 0xffff)
		print(0xcbf29ce484222325 >> 32, (0xcbf29ce484222325 ~ 0x61) & 0xffffffff, (0xcbf29ce484222325 * 0x100000001b3) >> 32 & 0xffffffff)
		local x = 0xcbf29ce484222325 print(x == 0xcbf29ce484222325, -x < 0 or x < 0)
		for k in next, {1}, nil, nil do print(k) end`
	const want = "4611686018427387904\t9007199254740992\t-4611686018427387904\t9007199254740992\t-9007199254740992\t65535\n" +
		"3421674724\t2216829764\t2942549324\ntrue\ttrue\n1\n"
	out, err := run(t, Options{}, fine)
	if err != nil || out != want {
		t.Errorf("got  %q %v\nwant %q", out, err, want)
	}
}

func BenchmarkBitwise(b *testing.B) {
	benchmarkScript(b, `local h, c = 2166136261, 97`, `h = ((h ~ c) * 16777619) & 0xffffffff`)
}

func BenchmarkIntegerDivision(b *testing.B) {
	benchmarkScript(b, `local x = 12345`, `local y = x // 7`)
}
