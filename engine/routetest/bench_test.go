package routetest

import (
	"fmt"
	"testing"
)

// BenchmarkCase is one `it`: a configuration of its own, three backends, and a request that goes to all of them.
func BenchmarkCase(b *testing.B) {
	for _, d := range []struct{ name, body string }{
		{"empty", ``},
		{"route", `route([[return require "routes.zoned"{ zones = { z1 = a, z2 = b, z3 = c }, near = "z1" }]], "a", "b", "c")`},
		{"send", `route([[return require "routes.zoned"{ zones = { z1 = a, z2 = b, z3 = c }, near = "z1" }]], "a", "b", "c")
			send("get foo") expect(seen()):equals{ "a: get foo", "b: get foo", "c: get foo" }`},
		{"scripted", `route([[return require "routes.zoned"{ zones = { z1 = a, z2 = b, z3 = c }, near = "z1" }]], "a", "b", "c")
			for _, n in ipairs{ "a", "b", "c" } do backend(n):answers("END") end
			send("get foo") expect(seen()):equals{ "a: get foo", "b: get foo", "c: get foo" }`},
	} {
		b.Run(d.name, func(b *testing.B) {
			r := New(Options{Seed: 1})
			defer r.Close()
			path := write(b, fmt.Sprintf("for i = 1, %d do it('x' .. i, function() %s end) end", b.N, d.body))
			b.ReportAllocs()
			b.ResetTimer()
			for _, res := range r.Run(path) {
				if res.Failure != nil {
					b.Fatal(res.Failure)
				}
			}
		})
	}
}
