// Package importer turns the configurations of other proxies into Lua files that route as those do: nutcracker.yml (twemproxy) and
// mcrouter's JSON. `tidepool import` calls it.
//
// Each source has a reader, which keeps the line of everything it reads, and a writer. What a source says and Tidepool
// cannot do becomes a comment at its place in the result and, where an answer depends on it, a route that answers an error
// which names it. What cannot be read, or would be unsafe to leave out, is an Error. Nothing is executed, resolved or connected
// to. The functions may be called concurrently.
package importer

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Options are an import's.
type Options struct {
	File string // the source's name: for errors and the result's comments
	Out  string // the result's name, for its comments; "": FILE.lua
	// RoutePrefix is mcrouter's --route-prefix: the route of keys without a routing prefix. "": the only one there is.
	RoutePrefix string
}

func (o *Options) out() string {
	if o.Out == "" {
		return "FILE.lua"
	}
	return o.Out
}

// Error is a source that cannot be imported.
type Error struct {
	File string
	Line int
	Msg  string
}

func (e *Error) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// luaString quotes s for Lua.
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\%03d`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

var keywords = map[string]bool{
	"and": true, "break": true, "do": true, "else": true, "elseif": true, "end": true, "false": true, "for": true, "function": true,
	"goto": true, "if": true, "in": true, "local": true, "nil": true, "not": true, "or": true, "repeat": true, "return": true, "then": true,
	"true": true, "until": true, "while": true,
}

// luaKey is s as a field's name in a table constructor.
func luaKey(s string) string {
	if identifier.MatchString(s) && !keywords[s] {
		return s
	}
	return "[" + luaString(s) + "]"
}

// luaIndex is the field s of the table t.
func luaIndex(t, s string) string {
	if identifier.MatchString(s) && !keywords[s] {
		return t + "." + s
	}
	return t + "[" + luaString(s) + "]"
}

// luaSeconds is a time in milliseconds as seconds.
func luaSeconds(ms int) string { return strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64) }

// comment keeps what a source says from ending a comment.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// fields joins the fields of a table constructor that are not empty.
func fields(list ...string) string {
	var some []string
	for _, f := range list {
		if f != "" {
			some = append(some, f)
		}
	}
	return "{ " + strings.Join(some, ", ") + " }"
}

// field is NAME = VALUE, or nothing without a value.
func field(name, value string) string {
	if value == "" {
		return ""
	}
	return name + " = " + value
}
