package wire

import (
	"strings"
	"testing"
)

func TestSubject(t *testing.T) {
	for _, d := range []struct{ key, subject, header string }{
		{"foo", "cache.foo", ""},
		{"A-z_09", "cache.A-z_09", ""},
		{"_", "cache._", ""},
		{"a.b", "cache._", "YS5i"},
		{"*", "cache._", "Kg=="},
		{">", "cache._", "Pg=="},
		{"/foo/bar", "cache._", "L2Zvby9iYXI="},
		{"ä", "cache._", "w6Q="},
		{"a b\x00", "cache._", "YSBiAA=="},
	} {
		if subject, header := Subject("cache", d.key); subject != d.subject || header != d.header {
			t.Errorf("%q: %q, %q, want %q, %q", d.key, subject, header, d.subject, d.header)
		}
	}
}

func TestCheckKey(t *testing.T) {
	long := strings.Repeat("x", 250)
	for key, want := range map[string]error{
		"a": nil, "a b": nil, "a\x7f": nil, "": ErrNoKey, long: nil, long + "x": ErrLongKey,
		long[:185] + " ": nil, long[:186] + " ": ErrLongCode, long[:249] + " ": ErrLongCode,
	} {
		if err := CheckKey(key); err != want {
			t.Errorf("%q: %v, want %v", key, err, want)
		}
		if err := CheckKey([]byte(key)); err != want {
			t.Errorf("%q as bytes: %v, want %v", key, err, want)
		}
	}
	if !Text("a/b:ä") || Text("a b") || Text("") || Text("a\r\n") || Text("\x7f") {
		t.Error("Text")
	}
}

func TestCheckPrefix(t *testing.T) {
	for prefix, want := range map[string]string{
		"cache": "", "a.b-c.d_e": "", "team/x": "",
		"": "an empty token", "a..b": "an empty token", ".a": "an empty token", "a.": "an empty token",
		"a.*": "a wildcard or a space", ">": "a wildcard or a space", "a b": "a wildcard or a space", "a.b>": "a wildcard or a space",
		"tp": `begins with "tp"`, "tp.1": `begins with "tp"`, "_INBOX.x": `begins with "_INBOX"`, "$SYS": `begins with "$SYS"`,
	} {
		err := CheckPrefix(prefix)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", prefix, err, want)
		}
	}
}
