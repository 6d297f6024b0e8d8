// One connection: what it makes of the answers.

package load

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// answer reads one request's answer and counts it.
func (c *conn) answer(o *op) error {
	result, err := c.read(o)
	if err != nil {
		return c.lost(err)
	}
	c.latency.observe(int64(c.in.at - o.due))
	c.count[requests]++
	c.count[result]++
	if c.in.at-c.told > tellEvery {
		c.publish()
	}
	return nil
}

// tellEvery is how old what progress shows may be.
const tellEvery = 20 * time.Millisecond

// publish lets others see what was counted.
func (c *conn) publish() {
	c.told = c.in.at
	for i := range c.count {
		c.published[i].Store(c.count[i])
	}
}

// read reads one answer and says what it is: hits, misses, errorLines or wrong.
func (c *conn) read(o *op) (int, error) {
	if len(o.keys) > 0 {
		return c.readMulti(o)
	}
	line, err := c.in.line()
	switch {
	case err != nil:
		return 0, err
	case o.set && isStored(line):
		c.stored[c.own(o.key)] = o.version
		return hits, nil
	case !o.set && isValue(line):
		return c.readOne(o, line)
	case isError(line):
		return errorLines, nil
	case !o.set && (string(line) == "END" || string(line) == "EN"):
		return misses, nil
	}
	return wrong, nil
}

// readOne reads the value that a get of one key is answered with.
func (c *conn) readOne(o *op, line []byte) (int, error) {
	c.inKey = appendKey(c.inKey[:0], c.r.o.Prefix, o.key)
	ok, err := c.readValue(line, o.key, o.version)
	if err != nil {
		return 0, err
	}
	if !c.r.o.Meta {
		if line, err = c.in.line(); err != nil {
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
		line, err := c.in.line()
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
		_, name, _ := bytes.Cut(line, []byte(" "))
		name, _, _ = bytes.Cut(name, []byte(" "))
		for ; next < len(o.keys); next, missing = next+1, true {
			if c.inKey = appendKey(c.inKey[:0], c.r.o.Prefix, o.keys[next]); bytes.Equal(c.inKey, name) {
				break
			}
		}
		if next >= len(o.keys) {
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

func isStored(line []byte) bool { return string(line) == "STORED" || string(line) == "HD" }

func isError(line []byte) bool {
	return bytes.HasPrefix(line, []byte("SERVER_ERROR")) || bytes.HasPrefix(line, []byte("CLIENT_ERROR")) || string(line) == "ERROR"
}

func isValue(line []byte) bool {
	return bytes.HasPrefix(line, []byte("VALUE ")) || bytes.HasPrefix(line, []byte("VA "))
}

// readValue reads the data block that line announces and says whether it is the value of key, whose name c.inKey is, and not
// older than what was stored last nor newer than the version (0: any).
func (c *conn) readValue(line []byte, key int, version uint64) (ok bool, err error) {
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
	size, ok := parseSize(fields)
	if !ok {
		return false, fmt.Errorf("%w: %q announces no value", errWrong, line)
	}
	value, err := c.in.block(size + 2)
	if err != nil {
		return false, err
	}
	got, whole := checkValue(value[:size], c.inKey, &c.r.o.Sizes)
	fresh := version == 0 || got >= c.stored[c.own(key)] && got <= version
	return named && whole && string(value[size:]) == "\r\n" && fresh, nil
}

// parseSize reads the length of a value.
func parseSize(digits []byte) (n int, ok bool) {
	for _, d := range digits {
		if d < '0' || d > '9' || n > maxSize/10 {
			return 0, false
		}
		n = n*10 + int(d-'0')
	}
	return n, len(digits) > 0 && n <= maxSize
}
