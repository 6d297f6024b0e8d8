package faultproxy

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo serves lines back until the test ends.
func echo(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for s := bufio.NewScanner(c); s.Scan(); {
					fmt.Fprintln(c, s.Text())
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func TestFaults(t *testing.T) {
	p, err := Start(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", p.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c, bufio.NewReader(c)
	}
	ask := func(c net.Conn, r *bufio.Reader, patience time.Duration) error {
		fmt.Fprintln(c, "hello")
		_ = c.SetReadDeadline(time.Now().Add(patience))
		_, err := r.ReadString('\n')
		return err
	}
	const long, short = 20 * time.Second, 50 * time.Millisecond
	c, r := dial()
	if err := ask(c, r, long); err != nil {
		t.Errorf("through a good network: %v", err)
	}
	p.Freeze()
	if err := ask(c, r, short); err == nil {
		t.Error("an answer from beyond a partition")
	}
	p.Heal()
	_ = c.SetReadDeadline(time.Now().Add(long))
	if _, err := r.ReadString('\n'); err != nil {
		t.Errorf("what was held back does not come: %v", err)
	}
	p.Delay(100 * time.Millisecond)
	if began := time.Now(); ask(c, r, long) != nil || time.Since(began) < 200*time.Millisecond {
		t.Errorf("there and back in %v", time.Since(began))
	}
	p.Cut()
	if err := ask(c, r, long); err == nil {
		t.Error("an answer over a connection that was cut")
	}
	c, r = dial()
	if err := ask(c, r, long); err == nil {
		t.Error("an answer over a connection that should not be made")
	}
	p.Heal()
	c, r = dial()
	if err := ask(c, r, long); err != nil {
		t.Errorf("after all is well: %v", err)
	}
}

// TestFreezeFrom: one of two is cut off, also by what it does not ask for.
func TestFreezeFrom(t *testing.T) {
	p, err := Start(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	conns := map[string]net.Conn{}
	answers := func(name string, patience time.Duration) error {
		c := conns[name]
		if c == nil {
			if c, err = net.Dial("tcp", p.Addr()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			conns[name] = c
		}
		fmt.Fprintln(c, "I am", name)
		_ = c.SetReadDeadline(time.Now().Add(patience))
		_, err := bufio.NewReader(c).ReadString('\n')
		return err
	}
	const long, short = 20 * time.Second, 50 * time.Millisecond
	for _, name := range []string{"one", "two"} {
		if err := answers(name, long); err != nil {
			t.Errorf("%s through a good network: %v", name, err)
		}
	}
	p.FreezeFrom("I am one")
	if err := answers("one", short); err == nil {
		t.Error("an answer to who is cut off")
	}
	if err := answers("two", long); err != nil {
		t.Errorf("who is not cut off: %v", err)
	}
	conns["one"] = nil
	if err := answers("one", short); err == nil {
		t.Error("an answer to who is cut off and comes anew")
	}
	p.Heal()
	if err := answers("one", long); err != nil {
		t.Errorf("after all is well: %v", err)
	}
}
