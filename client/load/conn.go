// One connection: what it sends, and what it makes of the answers.

package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/sock"
)

// conn is one connection. In the closed loop one goroutine uses it; in the open one, one sends and one receives, each with its
// own fields.
type conn struct {
	r      *run
	i      int
	stripe uint32
	nc     net.Conn
	random *rand.Rand

	out     []byte
	key     []byte
	sent    map[int]uint64 // version last sent, of the keys that this connection owns
	ops     []op           // in flight, oldest first (closed loop)
	version uint64

	in     *bufio.Reader
	value  []byte
	inKey  []byte
	stored map[int]uint64 // version last said to be stored, of own keys: a set that failed since may have taken effect or not
}

// op is a request in flight.
type op struct {
	set     bool
	key     int
	keys    []int  // of a multiget
	version uint64 // that a set sends, and the newest that a get of an own key may see; 0: any
	due     time.Time
}

func (r *run) dial(i int) (*conn, error) {
	network, addr := "tcp", r.o.Addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	nc, err := net.DialTimeout(network, addr, r.o.Timeout)
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %q: %w", r.o.Addr, err)
	}
	nc = sock.Wrap(nc)
	return &conn{
		r: r, i: i, stripe: uint32(i), nc: nc, random: r.random(i),
		sent: map[int]uint64{}, stored: map[int]uint64{}, in: bufio.NewReaderSize(nc, 64<<10),
	}, nil
}

// owns: a key is written by one connection only.
func (c *conn) owns(key int) bool { return key%c.r.o.Conns == c.i }

// pick draws a key; for a set the nearest that the connection owns.
func (c *conn) pick(set bool) int {
	n := 0
	if c.r.zipf != nil {
		n = c.r.zipf.Draw(c.random)
	} else {
		n = c.random.IntN(c.r.o.Keys)
	}
	if set {
		n += c.i - n%c.r.o.Conns
		if n >= c.r.o.Keys {
			n -= c.r.o.Conns
		}
	}
	return n
}

// fill sets every key that the connection owns.
func (c *conn) fill() error {
	for key := c.i; key < c.r.o.Keys; {
		c.out, c.ops = c.out[:0], c.ops[:0]
		for ; key < c.r.o.Keys && len(c.ops) < 64; key += c.r.o.Conns {
			c.ops = append(c.ops, c.set(key))
		}
		if err := c.flush(); err != nil {
			return err
		}
		for i := range c.ops {
			line, err := c.line()
			if err != nil {
				return err
			}
			if !isStored(line) {
				return fmt.Errorf("setting key %d is answered %q", c.ops[i].key, line)
			}
			c.stored[c.ops[i].key] = c.ops[i].version
		}
	}
	return nil
}

func isStored(line []byte) bool { return string(line) == "STORED" || string(line) == "HD" }

// set appends a set of key at its next version.
func (c *conn) set(key int) op {
	c.version++
	c.sent[key] = c.version
	c.key = appendKey(c.key[:0], c.r.o.Prefix, key)
	if c.r.o.Meta {
		c.out = append(append(c.out, "ms "...), c.key...)
		c.out = append(c.out, ' ')
	} else {
		c.out = append(append(c.out, "set "...), c.key...)
		c.out = append(c.out, " 0 0 "...)
	}
	c.out = strconv.AppendInt(c.out, int64(c.r.o.Size), 10)
	c.out = append(c.out, "\r\n"...)
	c.out = appendValue(c.out, c.key, c.version, c.r.o.Size)
	c.out = append(c.out, "\r\n"...)
	return op{set: true, key: key, version: c.version}
}

// next appends the next request.
func (c *conn) next(keys []int) op {
	if c.random.Float64() < c.r.o.Sets {
		return c.set(c.pick(true))
	}
	if c.r.o.Multiget > 1 {
		c.out = append(c.out, "get"...)
		for range c.r.o.Multiget {
			key := c.pick(false)
			keys = append(keys, key)
			c.out = appendKey(append(c.out, ' '), c.r.o.Prefix, key)
		}
		c.out = append(c.out, "\r\n"...)
		return op{keys: keys}
	}
	key := c.pick(false)
	o := op{key: key}
	if c.owns(key) {
		o.version = c.sent[key]
	}
	if c.r.o.Meta {
		c.out = append(appendKey(append(c.out, "mg "...), c.r.o.Prefix, key), " v\r\n"...)
	} else {
		c.out = append(appendKey(append(c.out, "get "...), c.r.o.Prefix, key), "\r\n"...)
	}
	return o
}

func (c *conn) flush() error {
	c.nc.SetWriteDeadline(time.Now().Add(c.r.o.Timeout))
	_, err := c.nc.Write(c.out)
	return c.lost(err)
}

// closedLoop keeps Depth requests in flight until the time is up.
func (c *conn) closedLoop() error {
	depth := c.r.o.Depth
	lists := make([][]int, depth)
	for {
		begin := time.Now()
		if !begin.Before(c.r.end) {
			return nil
		}
		c.out, c.ops = c.out[:0], c.ops[:0]
		for i := range depth {
			o := c.next(lists[i][:0])
			lists[i] = o.keys
			o.due = begin
			c.ops = append(c.ops, o)
		}
		if err := c.flush(); err != nil {
			return err
		}
		c.nc.SetReadDeadline(begin.Add(c.r.o.Timeout))
		for i := range c.ops {
			if err := c.answer(&c.ops[i]); err != nil {
				return err
			}
		}
	}
}

// answer reads one request's answer and counts it.
func (c *conn) answer(o *op) error {
	result, err := c.read(o)
	if err != nil {
		return err
	}
	c.r.latency.Observe(c.stripe, int64(time.Since(o.due)))
	c.r.count.Add(c.stripe, requests, 1)
	c.r.count.Add(c.stripe, result, 1)
	return nil
}

// read reads one answer and says what it is: hits, misses, errorLines or wrong.
func (c *conn) read(o *op) (int, error) {
	if o.keys != nil {
		return c.readMulti(o)
	}
	line, err := c.line()
	switch {
	case err != nil:
		return 0, err
	case isError(line):
		return errorLines, nil
	case o.set && isStored(line):
		c.stored[o.key] = o.version
		return hits, nil
	case !o.set && (string(line) == "END" || string(line) == "EN"):
		return misses, nil
	case o.set || !isValue(line):
		return wrong, nil
	}
	ok, err := c.readValue(line, o.key, o.version)
	if err != nil {
		return 0, err
	}
	if !c.r.o.Meta {
		if line, err = c.line(); err != nil {
			return 0, err
		}
		ok = ok && string(line) == "END"
	}
	if !ok {
		return wrong, nil
	}
	return hits, nil
}

// readMulti reads the answer of a multiget: values in the order of the keys, some missing.
func (c *conn) readMulti(o *op) (int, error) {
	result, missing, next := hits, false, 0
	for {
		line, err := c.line()
		if err != nil {
			return 0, err
		}
		if string(line) == "END" {
			if result == hits && (missing || next < len(o.keys)) {
				result = misses
			}
			return result, nil
		}
		if isError(line) { // in one key's place
			result = max(result, errorLines)
			next++
			continue
		}
		if !isValue(line) {
			return wrong, nil
		}
		name := bytes.Fields(line)[1]
		for next < len(o.keys) && string(appendKey(c.inKey[:0], c.r.o.Prefix, o.keys[next])) != string(name) {
			next, missing = next+1, true
		}
		if next == len(o.keys) {
			return 0, fmt.Errorf("%w: the answer to a multiget names %q, which was not asked for or not in this place", errWrong, name)
		}
		ok, err := c.readValue(line, o.keys[next], 0)
		if err != nil {
			return 0, err
		}
		if !ok {
			result = wrong
		}
		next++
	}
}

var errWrong = errors.New("wrong answer")

func isError(line []byte) bool {
	return bytes.HasPrefix(line, []byte("SERVER_ERROR")) || bytes.HasPrefix(line, []byte("CLIENT_ERROR")) || string(line) == "ERROR"
}

func isValue(line []byte) bool {
	return bytes.HasPrefix(line, []byte("VALUE ")) || bytes.HasPrefix(line, []byte("VA "))
}

// readValue reads the data block that line announces and says whether it is key's, and not older than what was stored last
// nor newer than the version (0: any).
func (c *conn) readValue(line []byte, key int, version uint64) (ok bool, err error) {
	c.inKey = appendKey(c.inKey[:0], c.r.o.Prefix, key)
	fields := line[bytes.IndexByte(line, ' ')+1:]
	named := true
	if !c.r.o.Meta {
		var rest []byte
		rest, named = bytes.CutPrefix(fields, c.inKey)
		named = named && len(rest) > 0 && rest[0] == ' '
		fields = fields[bytes.LastIndexByte(fields, ' ')+1:]
	} else if i := bytes.IndexByte(fields, ' '); i >= 0 {
		fields = fields[:i]
	}
	size, err := strconv.Atoi(string(fields))
	if err != nil || size < 0 || size > 1<<30 {
		return false, fmt.Errorf("%w: %q announces no value", errWrong, line)
	}
	if cap(c.value) < size+2 {
		c.value = make([]byte, size+2)
	}
	c.value = c.value[:size+2]
	if _, err := io.ReadFull(c.in, c.value); err != nil {
		return false, c.lost(err)
	}
	got, whole := checkValue(c.value[:size], c.inKey, c.r.o.Size)
	fresh := version == 0 || got >= c.stored[key] && got <= version
	return named && whole && string(c.value[size:]) == "\r\n" && fresh, nil
}

// line reads a line, without its end; it is valid until the next read.
func (c *conn) line() ([]byte, error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return nil, c.lost(err)
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

// lost words the end of a connection.
func (c *conn) lost(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("connection %d to %q: no answer in %v, or stopped", c.i, c.r.o.Addr, c.r.o.Timeout)
	}
	return fmt.Errorf("connection %d to %q is lost: %w", c.i, c.r.o.Addr, err)
}
