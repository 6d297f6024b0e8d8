package pools

import (
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/pools/backend"
)

func TestParseAddr(t *testing.T) {
	f := func(s string, want Address, wantURL string) {
		t.Helper()
		got, err := ParseAddr(s)
		if err != nil || got != want {
			t.Errorf("ParseAddr(%q) = %+v, %v; want %+v", s, got, err, want)
		}
		if got.URL() != wantURL {
			t.Errorf("%q: URL %q, want %q", s, got.URL(), wantURL)
		}
		if again, err := ParseAddr(got.URL()); err != nil || again != got {
			t.Errorf("ParseAddr(%q) = %+v, %v; want %+v as before", got.URL(), again, err, got)
		}
	}
	f("127.0.0.1:11211", Address{Host: "127.0.0.1", Port: "11211"}, "127.0.0.1:11211")
	f("cache-a.example:1", Address{Host: "cache-a.example", Port: "1"}, "cache-a.example:1")
	f("memcached://h:65535", Address{Host: "h", Port: "65535"}, "h:65535")
	f("[::1]:11211", Address{Host: "::1", Port: "11211"}, "[::1]:11211")
	f("[fe80::1%eth0]:11211", Address{Host: "fe80::1%eth0", Port: "11211"}, "[fe80::1%eth0]:11211")
	f("unix:/run/m.sock", Address{Path: "/run/m.sock"}, "unix:/run/m.sock")
	f("nats://127.0.0.1:4301", Address{Kind: Leaf, Host: "127.0.0.1", Port: "4301"}, "nats://127.0.0.1:4301")
	f("nats://n:4222/leaf-7", Address{Kind: Leaf, Host: "n", Port: "4222", Name: "leaf-7"}, "nats://n:4222/leaf-7")
	f("nats://[::1]:4222/a", Address{Kind: Leaf, Host: "::1", Port: "4222", Name: "a"}, "nats://[::1]:4222/a")
	f("nats://u:p%40ss@n:4222/a", Address{Kind: Leaf, Host: "n", Port: "4222", Name: "a", User: "u:p%40ss"}, "nats://u:p%40ss@n:4222/a")
	f("tls://n:4222", Address{Kind: Leaf, Host: "n", Port: "4222", TLS: true}, "tls://n:4222")
	f("tls://u:p@n:4222/a", Address{Kind: Leaf, Host: "n", Port: "4222", Name: "a", User: "u:p", TLS: true}, "tls://u:p@n:4222/a")
	f("nats://n:1,[::1]:2,m:3/a", Address{Kind: Leaf, Host: "n", Port: "1", More: "[::1]:2,m:3", Name: "a"}, "nats://n:1,[::1]:2,m:3/a")
	f("nats://token@n:4222", Address{Kind: Leaf, Host: "n", Port: "4222", User: "token"}, "nats://token@n:4222")
}

func TestParseAddrErrors(t *testing.T) {
	f := func(s, want string) {
		t.Helper()
		if got, err := ParseAddr(s); err == nil || err.Error() != "cannot read backend address "+want {
			t.Errorf("ParseAddr(%q) = %+v, %v; want %s", s, got, err, want)
		}
	}
	f("", `"": it is empty`)
	f("localhost", `"localhost": want host:port: missing port in address`)
	f(":11211", `":11211": want host:port: the host is missing`)
	f("h:", `"h:": want host:port: port "" is not a number from 1 to 65535`)
	f("h:0", `"h:0": want host:port: port "0" is not a number from 1 to 65535`)
	f("h:65536", `"h:65536": want host:port: port "65536" is not a number from 1 to 65535`)
	f("h:+1", `"h:+1": want host:port: port "+1" is not a number from 1 to 65535`)
	f("h:http", `"h:http": want host:port: port "http" is not a number from 1 to 65535`)
	f("::1:11211", `"::1:11211": want host:port: too many colons in address`)
	f("[x:y]:1", `"[x:y]:1": want host:port: "x:y" is no IPv6 address`)
	f("h :1", `"h :1": it holds a space or a control character`)
	f("h:1\r\nflush_all", `"h:1\r\nflush_all": it holds a space or a control character`)
	f("h/x:1", `"h/x:1": want host:port: "h/x" is no host`)
	f("http://h:80", `"http://h:80": unknown scheme "http", want nats://, tls:// (NATS over TLS), memcached://, unix: or plain host:port`)
	f("NATS://h:1", `"NATS://h:1": unknown scheme "NATS", want nats://, tls:// (NATS over TLS), memcached://, unix: or plain host:port`)
	f("tls://h", `"tls://h": want host:port: missing port in address`)
	f("nats://h:1,h:2", `"nats://h:1,h:2": several servers want a leaf's name after them: nats://host:port,host:port/name`)
	f("nats://h:1,/a", `"nats://h:1,/a": want host:port: missing port in address`)
	f("nats://h:1,h/a", `"nats://h:1,h/a": want host:port: missing port in address`)
	f("h:1,h:2", `"h:1,h:2": want host:port: too many colons in address`)
	f("unix:run/m.sock", `"unix:run/m.sock": want unix:/path with an absolute path`)
	f("memcached://h", `"memcached://h": want host:port: missing port in address`)
	f("memcached://h:1/x", `"memcached://h:1/x": want host:port: port "1/x" is not a number from 1 to 65535`)
	f("nats://h", `"nats://h": want host:port: missing port in address`)
	f("nats://h:1/", `"nats://h:1/": leaf name "": want 1 to 63 of a-z, 0-9 and -`)
	f("nats://h:1/Leaf", `"nats://h:1/Leaf": leaf name "Leaf": want 1 to 63 of a-z, 0-9 and -`)
	f("nats://h:1/a.b", `"nats://h:1/a.b": leaf name "a.b": want 1 to 63 of a-z, 0-9 and -`)
	f("nats://h:1/a/b", `"nats://h:1/a/b": leaf name "a/b": want 1 to 63 of a-z, 0-9 and -`)
	f("nats://h:1/"+strings.Repeat("a", 64), `"nats://h:1/`+strings.Repeat("a", 64)+`": leaf name "`+strings.Repeat("a", 64)+`": want 1 to 63 of a-z, 0-9 and -`)
	f("nats://@h:1", `"nats://***@h:1": want user:password@, percent-encoded, before the host`)
	f("nats://u:secret@h", `"nats://***@h": want host:port: missing port in address`) // a password is not quoted
}

func TestAddressString(t *testing.T) {
	a, err := ParseAddr("nats://u:secret@n:4222/a")
	if err != nil {
		t.Fatal(err)
	}
	if got := a.String(); got != "nats://***@n:4222/a" {
		t.Errorf("%q", got)
	}
}

func TestSpecName(t *testing.T) {
	f := func(addr, label, want string) {
		t.Helper()
		a, err := ParseAddr(addr)
		if err != nil {
			t.Fatal(err)
		}
		s := Spec{Addr: a, Label: label}
		if got := s.Name(); got != want {
			t.Errorf("%q, label %q: %q, want %q", addr, label, got, want)
		}
	}
	f("h:1", "b1", "b1")
	f("h:1", "", "h:1")
	f("nats://u:secret@h:1", "", "nats://***@h:1")
	f("nats://h:1/leaf-1", "", "leaf-1")
	f("nats://h:1/leaf-1", "x", "x")
}

func TestSpecErrors(t *testing.T) {
	here := Address{Host: "h", Port: "1"}
	long := strings.Repeat("x", 600)
	f := func(s Spec, want string) {
		t.Helper()
		if err := s.Validate(); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %q", s, err, want)
		}
	}
	f(Spec{}, "backend must have a host argument")
	f(Spec{Addr: here, Label: long}, "backend label too long")
	f(Spec{Addr: Address{Host: long, Port: "1"}}, "backend name too long")
	f(Spec{Addr: Address{Path: long}}, "backend name too long")
	f(Spec{Addr: Address{Host: "h", Port: "123456"}}, "backend port too long")
	f(Spec{Addr: here, Connections: -1}, "backend connections argument must be >= 0")
	f(Spec{Addr: here, Connections: 9}, "backend connections argument must be <= 8")
	f(Spec{Addr: here, FailureLimit: -2}, "failurelimit must be >= 0")
	f(Spec{Addr: here, DepthLimit: -1}, "depthlimit must be >= 0")
	f(Spec{Addr: here, ReadTimeout: -1}, "backend times must be >= 0")
	f(Spec{Addr: here, Log: backend.LogRule{Deadline: -1}}, "backend log deadline must be >= 0")
	f(Spec{Addr: here, Log: backend.LogRule{Rate: -1}}, "backend log sample rate must be >= 0")
	f(Spec{Addr: Address{Kind: Leaf, Host: "h", Port: "1"}, TLS: backend.TLS{On: true}}, "tls = true is for memcached servers; a leaf's address begins with tls://")
	f(Spec{Addr: here, TLS: backend.TLS{Name: "n"}}, "tls_ca, tls_name, tls_verify, tls_cert and tls_key need tls = true")
	f(Spec{Addr: here, TLS: backend.TLS{On: true, Cert: "c"}}, "tls_cert and tls_key go together")

	ok := Spec{Addr: here, Label: long[:511], Connections: 8, FailureLimit: -1}
	if err := ok.Validate(); err != nil {
		t.Errorf("%v", err)
	}
}

// TestHashAs: leaves behind one server must not fall on one place of a ring.
func TestHashAs(t *testing.T) {
	f := func(addr, want string) {
		t.Helper()
		a, err := ParseAddr(addr)
		if err != nil {
			t.Fatal(err)
		}
		if host, port := a.HashAs(); host+":"+port != want {
			t.Errorf("%q: %s:%s, want %s", addr, host, port, want)
		}
	}
	f("h:1", "h:1")
	f("nats://h:1", "h:1")
	f("nats://h:1/leaf-1", "leaf-1:")
	f("tls://h:1,i:2/leaf-2", "leaf-2:")
	f("unix:/run/a.sock", "/run/a.sock:")
}
