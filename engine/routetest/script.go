// What a test says to a backend, and what it asks of it.

package routetest

import (
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

var backendMethods = map[string]func(*file, *lua.LState) int{
	"set": backendSet, "get": backendGet,
	"answers": func(_ *file, L *lua.LState) int {
		s := self[*host](L)
		if t, ok := L.Get(2).(*lua.LTable); ok {
			for i := 1; i <= t.Len(); i++ {
				s.next = append(s.next, scripted(L, t.RawGetInt(i)))
			}
		} else {
			s.always = scripted(L, L.Get(2))
		}
		return 0
	},
	"fails": func(_ *file, L *lua.LState) int {
		word := L.CheckString(2)
		k, ok := fails[word]
		if !ok {
			L.RaiseError("there is no failure %q: want \"timeout\", \"down\" or \"closed\"", word)
		}
		self[*host](L).react(reaction{kind: k}, L, 3)
		return 0
	},
	"never": func(_ *file, L *lua.LState) int {
		self[*host](L).react(reaction{kind: never}, L, 2)
		return 0
	},
	"slow": func(_ *file, L *lua.LState) int {
		s, d := self[*host](L), seconds(L, 2)
		if L.GetTop() < 3 {
			s.delay = d
			return 0
		}
		for range L.CheckInt(3) {
			s.delays = append(s.delays, d)
		}
		return 0
	},
	"works": func(_ *file, L *lua.LState) int {
		s := self[*host](L)
		s.next, s.always, s.delays, s.delay = nil, reaction{}, nil, 0
		return 0
	},
	"seen": func(_ *file, L *lua.LState) int {
		s := self[*host](L)
		var lines []string
		keep := s.w.sent[:0]
		for _, x := range s.w.sent {
			if x.to == s {
				lines = append(lines, x.line)
			} else {
				keep = append(keep, x)
			}
		}
		s.w.sent = keep
		L.Push(list(L, lines))
		return 1
	},
}

// react has s do r to as many requests as argument i says, or always.
func (s *host) react(r reaction, L *lua.LState, i int) {
	if L.GetTop() < i {
		s.always = r
		return
	}
	for range L.CheckInt(i) {
		s.next = append(s.next, r)
	}
}

// scripted is v as an answer.
func scripted(L *lua.LState, v lua.LValue) reaction {
	text, ok := v.(lua.LString)
	if !ok {
		L.RaiseError("answers: want a text, got %s", v.Type())
	}
	whole := string(text) + "\r\n"
	var resp mc.Response
	if n, _, err := mc.ParseResponse([]byte(whole), &resp); err != nil || n != len(whole) {
		L.RaiseError("answers: %q is not one answer of a backend", string(text))
	}
	return reaction{answer, whole}
}

func backendSet(_ *file, L *lua.LState) int {
	s, key, value := self[*host](L), L.CheckString(2), L.CheckString(3)
	flags, ttl := 0, 0
	if t, ok := L.Get(4).(*lua.LTable); ok {
		if n, ok := t.RawGetString("flags").(lua.LNumber); ok {
			flags = int(n)
		}
		if n, ok := t.RawGetString("ttl").(lua.LNumber); ok {
			ttl = int(n)
		}
	}
	if got := s.memory().ask("set %s %d %d %d\r\n%s\r\n", key, flags, ttl, len(value), value); got != "STORED\r\n" {
		L.RaiseError("set: the backend answers %q", strings.TrimSpace(got))
	}
	return 0
}

// backendGet gives the value and a table, or nil. There is no ttl if it never expires.
func backendGet(_ *file, L *lua.LState) int {
	s, key := self[*host](L), L.CheckString(2)
	raw := s.memory().ask("mg %s v f t c\r\n", key)
	var resp mc.Response
	if _, _, err := mc.ParseResponse([]byte(raw), &resp); err != nil || !resp.HasValue() {
		L.Push(lua.LNil)
		return 1
	}
	line, _, _ := strings.Cut(raw, "\r\n")
	t := L.NewTable()
	for _, word := range strings.Fields(line)[2:] {
		var n float64
		if _, err := fmt.Sscan(word[1:], &n); err != nil {
			continue
		}
		name := map[byte]string{'f': "flags", 't': "ttl", 'c': "cas"}[word[0]]
		if name != "" && n >= 0 {
			t.RawSetString(name, lua.LNumber(n))
		}
	}
	L.Push(lua.LString(resp.Value()))
	L.Push(t)
	return 2
}
