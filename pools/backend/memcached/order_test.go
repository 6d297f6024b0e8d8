// The order in which a worker's connections arrive.

package memcached

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
)

func TestConnectionsArriveInOrder(t *testing.T) {
	for range 10 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		host, port, _ := strings.Cut(ln.Addr().String(), ":")
		b, ev := at(t, host, port, Options{Connections: 8})
		var arrived, want []string
		for range 8 {
			c, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			arrived = append(arrived, c.RemoteAddr().String())
			if _, err := c.Write([]byte("VERSION 1\r\n")); err != nil {
				t.Fatal(err)
			}
		}
		for up := 0; up < 8; {
			<-ev.more
			ev.mu.Lock()
			up = len(ev.list)
			ev.mu.Unlock()
		}
		for _, c := range b.conns {
			c.mu.Lock()
			want = append(want, c.nc.LocalAddr().String())
			c.mu.Unlock()
		}
		if !slices.Equal(arrived, want) {
			t.Fatalf("arrived %v, want %v", arrived, want)
		}
		b.Close()
		ln.Close()
	}
}

// A server that answers no connect does not keep the others from trying.
func TestATurnEnds(t *testing.T) {
	dials := make(chan int, 2)
	b, err := New(Options{Host: "h", Port: "1", Connections: 2, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		dials <- 1
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		<-dials
	}
	b.Close()
}
