// The pattern matcher: Lua's patterns over bytes, bounded by the step budget.

package lualib

import (
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

const (
	maxCaptures = 32
	maxRecurse  = 200 // matches inside each other; more is "pattern too complex", as in C Lua

	openCapture     = -1 // length of a capture whose ) has not been reached
	positionCapture = -2 // length of ()

	burnPerStep = 4 // single comparisons for a step of the budget
)

// matcher matches pat against src. It lives on the caller's stack and allocates nothing.
type matcher struct {
	h        *Host
	L        *lua.LState
	src, pat string
	level    int // captures so far, open ones too
	depth    int
	fuel     int // comparisons that are paid for
	captures [maxCaptures]struct{ start, len int }
}

// burn pays for one comparison, and for what has been taken from fuel without asking.
func (m *matcher) burn() {
	if m.fuel--; m.fuel < 0 {
		m.refuel()
	}
}

func (m *matcher) refuel() {
	steps := 16 - m.fuel/burnPerStep
	m.h.Charge(m.L, steps)
	m.fuel += steps * burnPerStep
}

func (m *matcher) fail(format string, args ...any) {
	m.h.raise(m.L, "%s", fmt.Sprintf(format, args...))
}

// match matches the pattern from p on at s, and gives the end of the match or -1.
func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxRecurse {
		m.fail("pattern too complex")
	}
	end := m.run(s, p)
	m.depth--
	return end
}

func (m *matcher) run(s, p int) int {
	for p < len(m.pat) {
		m.burn()
		switch m.pat[p] {
		case '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.open(s, p+2, positionCapture)
			}
			return m.open(s, p+1, openCapture)
		case ')':
			return m.close(s, p+1)
		case '$':
			if p+1 == len(m.pat) {
				if s == len(m.src) {
					return s
				}
				return -1
			}
		case '%':
			if p+1 < len(m.pat) {
				next, q, special := m.special(s, p)
				if special {
					if next < 0 {
						return -1
					}
					s, p = next, q
					continue
				}
			}
		}
		q := m.itemEnd(p)
		suffix := byte(0)
		if q < len(m.pat) {
			suffix = m.pat[q]
		}
		switch suffix {
		case '?':
			if m.single(s, p, q) {
				if end := m.match(s+1, q+1); end >= 0 {
					return end
				}
			}
			p = q + 1
		case '*':
			return m.longest(s, p, q, 0)
		case '+':
			return m.longest(s, p, q, 1)
		case '-':
			return m.shortest(s, p, q)
		default:
			if !m.single(s, p, q) {
				return -1
			}
			s, p = s+1, q
		}
	}
	return s
}

// special matches %b, %f and %1 to %9 at p. next is where the source goes on, -1 if it does not match; after is where the pattern does.
func (m *matcher) special(s, p int) (next, after int, special bool) {
	switch c := m.pat[p+1]; {
	case c == 'b':
		return m.balanced(s, p+2), p + 4, true
	case c == 'f':
		p += 2
		if p >= len(m.pat) || m.pat[p] != '[' {
			m.fail("missing '[' after '%%f' in pattern")
		}
		after = m.itemEnd(p)
		before, here := byte(0), byte(0)
		if s > 0 {
			before = m.src[s-1]
		}
		if s < len(m.src) {
			here = m.src[s]
		}
		if !m.inSet(before, p, after-1) && m.inSet(here, p, after-1) {
			return s, after, true
		}
		return -1, 0, true
	case c >= '0' && c <= '9':
		return m.backReference(s, c), p + 2, true
	}
	return 0, 0, false
}

// balanced matches %bxy, its x at p.
func (m *matcher) balanced(s, p int) int {
	if p+1 >= len(m.pat) {
		m.fail("malformed pattern (missing arguments to '%%b')")
	}
	begin, end := m.pat[p], m.pat[p+1]
	if s >= len(m.src) || m.src[s] != begin {
		return -1
	}
	nested := 1
	for s++; s < len(m.src); s++ {
		m.burn()
		switch m.src[s] {
		case end:
			if nested--; nested == 0 {
				return s + 1
			}
		case begin:
			nested++
		}
	}
	return -1
}

func (m *matcher) backReference(s int, digit byte) int {
	i := int(digit) - '1'
	if i < 0 || i >= m.level || m.captures[i].len == openCapture {
		m.fail("invalid capture index %%%d", i+1)
	}
	c := m.captures[i]
	want := m.src[c.start : c.start+max(c.len, 0)]
	m.fuel -= len(want) / 8
	if strings.HasPrefix(m.src[s:], want) {
		return s + len(want)
	}
	return -1
}

func (m *matcher) open(s, p, kind int) int {
	if m.level >= maxCaptures {
		m.fail("too many captures")
	}
	m.captures[m.level].start, m.captures[m.level].len = s, kind
	m.level++
	end := m.match(s, p)
	if end < 0 {
		m.level--
	}
	return end
}

func (m *matcher) close(s, p int) int {
	i := m.level - 1
	for i >= 0 && m.captures[i].len != openCapture {
		i--
	}
	if i < 0 {
		m.fail("invalid pattern capture")
	}
	m.captures[i].len = s - m.captures[i].start
	end := m.match(s, p)
	if end < 0 {
		m.captures[i].len = openCapture
	}
	return end
}

// longest matches the item from p to q as often as it can, at least least times, and then less often until the rest matches.
func (m *matcher) longest(s, p, q, least int) int {
	n := 0
	for m.single(s+n, p, q) {
		m.burn()
		n++
	}
	for ; n >= least; n-- {
		if end := m.match(s+n, q+1); end >= 0 {
			return end
		}
	}
	return -1
}

// shortest matches the rest, and the item only as often as it must.
func (m *matcher) shortest(s, p, q int) int {
	for {
		if end := m.match(s, q+1); end >= 0 {
			return end
		}
		if !m.single(s, p, q) {
			return -1
		}
		s++
	}
}

// itemEnd is where the single item (a byte, a class, a set) at p ends.
func (m *matcher) itemEnd(p int) int {
	start, c := p, m.pat[p]
	p++
	switch c {
	case '%':
		if p >= len(m.pat) {
			m.fail("malformed pattern (ends with '%%')")
		}
		return p + 1
	case '[':
		if p < len(m.pat) && m.pat[p] == '^' {
			p++
		}
		for first := true; first || p >= len(m.pat) || m.pat[p] != ']'; first = false {
			if p >= len(m.pat) {
				m.fail("malformed pattern (missing ']')")
			}
			c := m.pat[p]
			p++
			if c == '%' {
				if p >= len(m.pat) {
					m.fail("malformed pattern (missing ']')")
				}
				p++
			}
		}
		m.fuel -= (p - start) / 4
		return p + 1
	}
	return p
}

// single matches one byte of the source with the item from p to q.
func (m *matcher) single(s, p, q int) bool {
	if s >= len(m.src) {
		return false
	}
	c := m.src[s]
	switch m.pat[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pat[p+1])
	case '[':
		return m.inSet(c, p, q-1)
	}
	return m.pat[p] == c
}

// inSet matches c with the set that begins at p and whose ] is at end.
func (m *matcher) inSet(c byte, p, end int) bool {
	m.fuel -= (end - p) / 4
	p++
	found := true
	if m.pat[p] == '^' {
		found = false
		p++
	}
	for p < end {
		switch {
		case m.pat[p] == '%':
			if inClass(c, m.pat[p+1]) {
				return found
			}
			p += 2
		case p+2 < end && m.pat[p+1] == '-':
			if m.pat[p] <= c && c <= m.pat[p+2] {
				return found
			}
			p += 3
		default:
			if m.pat[p] == c {
				return found
			}
			p++
		}
	}
	return !found
}
