// Fake memcached servers that both proxies talk to: what they answer depends on the request alone, and they keep what they saw.

package compat

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// fakes are the servers of one configuration.
type fakes struct {
	mu    sync.Mutex
	seen  map[string][]string // by address
	lns   []net.Listener
	conns []net.Conn
	total int
	wg    sync.WaitGroup
}

func startFakes(t *testing.T, addrs []string) *fakes {
	f := &fakes{seen: map[string][]string{}}
	t.Cleanup(f.stop)
	for _, a := range addrs {
		ln, err := net.Listen("tcp", a)
		if err != nil {
			t.Skipf("SKIPPED: the configuration wants a server at %s: %v", a, err)
		}
		f.lns = append(f.lns, ln)
		f.wg.Go(func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				f.mu.Lock()
				f.conns = append(f.conns, c)
				f.mu.Unlock()
				f.wg.Go(func() { f.serve(a, c) })
			}
		})
	}
	return f
}

func (f *fakes) stop() {
	for _, ln := range f.lns {
		ln.Close()
	}
	f.mu.Lock()
	for _, c := range f.conns {
		c.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

// count is how many requests have come.
func (f *fakes) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.total
}

func (f *fakes) serve(addr string, c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		words := strings.Fields(line)
		switch {
		case len(words) == 1 && words[0] == "version":
			io.WriteString(c, "VERSION 1.6.45\r\n")
			continue
		case len(words) < 2, len(words) < 3 && strings.HasPrefix(words[0], "gat"):
			return // nothing that a proxy may send: TLS, for one
		}
		value := ""
		if n := size(words); n >= 0 {
			b := make([]byte, n+2)
			if _, err := io.ReadFull(r, b); err != nil {
				return
			}
			value = string(b)
		}
		f.mu.Lock()
		f.seen[addr] = append(f.seen[addr], line+value)
		f.total++
		f.mu.Unlock()
		if _, err := io.WriteString(c, answer(addr, words)); err != nil {
			return
		}
	}
}

// size is the length of the request's value, -1 if it has none.
func size(words []string) int {
	at := 0
	switch words[0] {
	case "set", "add", "replace", "append", "prepend", "cas":
		at = 4
	case "ms":
		at = 2
	}
	if at == 0 || len(words) <= at {
		return -1
	}
	n, err := strconv.Atoi(words[at])
	if err != nil {
		return -1
	}
	return n
}

// answer is what a server says. A word in the key decides: hit, miss, err (an error line), odd and even (a hit at servers whose port is
// that, a miss at others), bad (an error at odd ports).
func answer(addr string, words []string) string {
	cmd, key := words[0], words[1]
	if cmd == "gat" || cmd == "gats" {
		key = words[2]
	}
	_, port, _ := net.SplitHostPort(addr)
	odd := strings.Contains("13579", port[len(port)-1:])
	hit := strings.Contains(key, "hit") || strings.Contains(key, "odd") && odd || strings.Contains(key, "even") && !odd || strings.Contains(key, "bad")
	if strings.Contains(key, "err") || strings.Contains(key, "bad") && odd {
		return "SERVER_ERROR out of luck\r\n"
	}
	value := addr + " " + key
	pick := func(yes, no string) string {
		if hit {
			return yes
		}
		return no
	}
	switch cmd {
	case "get", "gat":
		return pick(fmt.Sprintf("VALUE %s 5 %d\r\n%s\r\nEND\r\n", key, len(value), value), "END\r\n")
	case "gets", "gats":
		return pick(fmt.Sprintf("VALUE %s 5 %d 77\r\n%s\r\nEND\r\n", key, len(value), value), "END\r\n")
	case "set":
		return "STORED\r\n"
	case "add", "replace", "append", "prepend":
		return pick("STORED\r\n", "NOT_STORED\r\n")
	case "cas":
		return pick("EXISTS\r\n", "NOT_FOUND\r\n")
	case "incr", "decr":
		return pick(port+"\r\n", "NOT_FOUND\r\n")
	case "touch":
		return pick("TOUCHED\r\n", "NOT_FOUND\r\n")
	case "delete":
		return pick("DELETED\r\n", "NOT_FOUND\r\n")
	case "me":
		return pick("ME "+key+" exp=-1 la=0 cas=1 fetch=no cls=1 size=64\r\n", "EN\r\n")
	}
	flags := ""
	for _, w := range words[2:] {
		switch {
		case w == "k":
			flags += " k" + key
		case w[0] == 'O':
			flags += " " + w
		case w == "t":
			flags += " t99"
		case w == "f":
			flags += " f5"
		}
	}
	wants := strings.Contains(" "+strings.Join(words[2:], " ")+" ", " v ")
	switch cmd {
	case "mg":
		if hit && wants {
			return fmt.Sprintf("VA %d%s\r\n%s\r\n", len(value), flags, value)
		}
		return pick("HD"+flags+"\r\n", "EN\r\n")
	case "ms":
		return pick("HD"+flags+"\r\n", "NS"+flags+"\r\n")
	case "md", "ma":
		return pick("HD"+flags+"\r\n", "NF"+flags+"\r\n")
	}
	return "ERROR\r\n"
}
