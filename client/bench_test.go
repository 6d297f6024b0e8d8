package client

import (
	"sync/atomic"
	"testing"
)

// BenchmarkClient is a Get through a real proxy to real leaves: by one caller, by many of different keys, by many of one key.
func BenchmarkClient(b *testing.B) {
	url := startNATS(b)
	startProxy(b, url, 0)
	c := connect(b, url, Options{})
	keys := make([]string, 64)
	for i := range keys {
		keys[i] = "key-" + string(rune('A'+i))
		if err := c.Set(bg, keys[i], Item{Value: make([]byte, 100)}); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Get(bg, keys[0]); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, distinct := range map[string]uint32{"different": 64, "same": 1} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetParallelism(32)
			var next atomic.Uint32
			b.RunParallel(func(pb *testing.PB) {
				key := keys[next.Add(1)%distinct]
				for pb.Next() {
					if _, err := c.Get(bg, key); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
