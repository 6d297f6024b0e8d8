// Requests that do everything at once, over servers that fail.

package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// unsteadyServer is a memcached that now and then takes its time, or hangs up.
func unsteadyServer(t *testing.T) (port string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	serve := func(c net.Conn) {
		defer c.Close()
		for r := bufio.NewReader(c); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			words := strings.Fields(line)
			switch words[0] {
			case "version":
				io.WriteString(c, "VERSION 1.6\r\n")
				continue
			case "mg":
				io.WriteString(c, "EN\r\n")
				continue
			}
			key := words[len(words)-1]
			switch n := rand.IntN(3000); {
			case n == 0:
				return
			case n < 150:
				time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
				fallthrough
			case n < 800:
				io.WriteString(c, miss)
			case n < 1000:
				fmt.Fprintf(c, "VALUE %s 0 70000\r\n%070000d\r\nEND\r\n", key, 0)
			default:
				fmt.Fprintf(c, "VALUE %s 0 1\r\nx\r\nEND\r\n", key)
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// Clients whose requests linger, wait in place, have deadlines and break off, over servers that hang up, while configurations change:
// each is answered, and nothing is left.
func TestEverythingAtOnce(t *testing.T) {
	var ports []string
	for range 3 {
		ports = append(ports, unsteadyServer(t))
	}
	p := startProxy(t, writeConfig(t, strings.ReplaceAll(threeConfig, "ROUTE", `
    local lingering = gen({ p[1], p[2], p[3] }, function(rctx, h) return function(r)
        rctx:enqueue_and_wait(r, h[1])
        string.gsub('a', 'a', function() rctx:enqueue_and_wait(r, h[2]) end)
        return rctx:enqueue_and_wait(r, h[3])
    end end, "lingering")
    mcp.attach(mcp.CMD_GETS, gen({ lingering, p[3] }, function(rctx, h) return function(r)
        rctx:enqueue(r, h[1])
        return rctx:enqueue_and_wait(r, h[2])
    end end, "leaves it"))
    mcp.attach(mcp.CMD_GAT, gen({ p[1], p[2], p[3] }, function(rctx, h) return function(r)
        rctx:enqueue(r, h)
        rctx:wait_cond(2, mcp.WAIT_ANY, 0.001)
        return "ENOUGH\r\n"
    end end, "enough"))
    mcp.attach(mcp.CMD_MG, function(r)
        p[1](r)
        string.gsub("aa", "a", function() p[1](r) end)
        string.gsub("a", "a", function() p[2](r) end)
        return "HD\r\n"
    end)
    mcp.attach(mcp.CMD_GET, function(r) p[1](r) return p[2](r) end)`), ports...), func(o *Options) {
		o.Drain, o.Log = 300*time.Millisecond, nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() {
		for ctx.Err() == nil {
			p.Reload()
			p.sessions.wake()
			time.Sleep(50 * time.Millisecond)
		}
	})
	for w := range 16 {
		all.Go(func() {
			for ctx.Err() == nil {
				c, err := net.Dial("tcp", p.Addrs()[0])
				if err != nil {
					t.Error(err)
					return
				}
				r := bufio.NewReaderSize(c, 16)
				for i := 0; i < 100 && ctx.Err() == nil; i++ {
					c.SetDeadline(time.Now().Add(patience))
					fmt.Fprintf(c, []string{"get k%d-%d\r\n", "gets k%d-%d\r\n", "gat 0 k%d-%d\r\n", "mg k%d-%d v\r\n"}[rand.IntN(4)], w, i)
					if rand.IntN(200) == 0 {
						break // and is gone
					}
					if rand.IntN(2) == 0 {
						if _, err := r.ReadString('\n'); err != nil {
							t.Errorf("client %d: no answer: %v", w, err)
							break
						}
					}
					io.WriteString(c, "mn\r\n")
					for line := ""; line != "MN\r\n"; {
						if line, err = r.ReadString('\n'); err != nil {
							t.Errorf("client %d: no end: %v", w, err)
							return
						}
					}
				}
				c.Close()
			}
		})
	}
	all.Wait()
	for deadline := time.Now().Add(patience); p.inFlight.Load() != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d requests are still under way", p.inFlight.Load())
		}
	}
}
