// What a request costs the generator, which shares the machine with what it measures.

//go:build !race

package load

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"
)

// memory answers what is written to it, as a memcached without a socket that allocates nothing.
type memory struct {
	net.Conn
	values map[string]*[]byte
	answer bytes.Buffer
}

func (m *memory) Write(p []byte) (int, error) {
	eol, space := []byte("\r\n"), []byte(" ")
	for rest := p; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, eol)
		cmd, keys, _ := bytes.Cut(line, space)
		if string(cmd) == "set" {
			var value []byte
			value, rest, _ = bytes.Cut(rest, eol)
			key, _, _ := bytes.Cut(keys, space)
			if m.values[string(key)] == nil {
				m.values[string(key)] = new([]byte)
			}
			held := m.values[string(key)]
			*held = append((*held)[:0], value...)
			m.answer.WriteString("STORED\r\n")
			continue
		}
		for len(keys) > 0 {
			var key []byte
			key, keys, _ = bytes.Cut(keys, space)
			m.answer.WriteString("VALUE ")
			m.answer.Write(key)
			m.answer.WriteString(" 0 100\r\n")
			m.answer.Write(*m.values[string(key)])
			m.answer.WriteString("\r\n")
		}
		m.answer.WriteString("END\r\n")
	}
	return len(p), nil
}

func (m *memory) Read(p []byte) (int, error) {
	n, _ := m.answer.Read(p)
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// inMemory is a connection to a memory, whose keys are set.
func inMemory(tb testing.TB, o Options) *conn {
	o.Addr, o.Conns, o.Keys = "127.0.0.1:1", 1, 500
	if err := o.setDefaults(); err != nil {
		tb.Fatal(err)
	}
	r := &run{o: o, base: time.Now(), sets: 1 << 32 / 10}
	c := &conn{r: r, nc: &memory{values: map[string]*[]byte{}}, source: rand.NewPCG(1, 1), sent: make([]uint64, o.Keys), stored: make([]uint64, o.Keys)}
	c.random = rand.New(c.source)
	c.in = newReader(c.nc, r.clock, c.overdue)
	if err := c.fill(); err != nil {
		tb.Fatal(err)
	}
	c.ops = make([]op, o.Depth)
	return c
}

// turn is a batch of the closed loop.
func (c *conn) turn(tb testing.TB) {
	for i := range c.ops {
		c.next(&c.ops[i])
	}
	if err := c.flush(); err != nil {
		tb.Fatal(err)
	}
	for i := range c.ops {
		if err := c.answer(&c.ops[i]); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestAllocPerBatch(t *testing.T) {
	for name, o := range map[string]Options{"gets and sets": {Depth: 16}, "multigets": {Depth: 4, Multiget: 10}} {
		c := inMemory(t, o)
		c.turn(t)
		if n := testing.AllocsPerRun(500, func() { c.turn(t) }); n > 0 {
			t.Errorf("%s: a batch allocates %v times", name, n)
		}
		if c.count[hits] == 0 || c.count[hits] != c.count[requests] {
			t.Errorf("%s: %v", name, c.count)
		}
	}
}

func BenchmarkBatchOf16(b *testing.B) {
	c := inMemory(b, Options{Depth: 16})
	c.turn(b)
	for b.Loop() {
		c.turn(b)
	}
}
