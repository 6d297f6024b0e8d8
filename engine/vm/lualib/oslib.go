// os.*: reading the clock and the environment.

package lualib

import (
	"fmt"
	"os"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

var osLib = []entry{
	{"clock", osClock}, {"date", osDate}, {"difftime", osDiffTime}, {"getenv", osGetenv}, {"time", osTime},
}

// osClock is the time since the state was opened: a process's CPU time says nothing about one script.
func osClock(h *Host, L *lua.LState) int {
	L.Push(lua.LNumber(h.opts.Now().Sub(h.started).Seconds()))
	return 1
}

func osGetenv(h *Host, L *lua.LState) int {
	if v, ok := os.LookupEnv(h.str(L, 1)); ok {
		L.Push(lua.LString(v))
	} else {
		L.Push(lua.LNil)
	}
	return 1
}

func osDiffTime(h *Host, L *lua.LState) int {
	L.Push(lua.LNumber(h.num(L, 1) - h.num(L, 2)))
	return 1
}

func osTime(h *Host, L *lua.LState) int {
	if L.Get(1) == lua.LNil {
		L.Push(lua.LNumber(h.opts.Now().Unix()))
		return 1
	}
	t := h.table(L, 1)
	field := func(name string, def int) int {
		v := t.RawGetString(name)
		n, ok := Number(v)
		if v == lua.LNil {
			if def < 0 {
				h.raise(L, "field '%s' missing in date table", name)
			}
			return def
		}
		i, integral := toInteger(n)
		if !ok || !integral {
			h.raise(L, "field '%s' is not an integer", name)
		}
		return int(i)
	}
	d := time.Date(field("year", -1), time.Month(field("month", -1)), field("day", -1), field("hour", 12), field("min", 0),
		field("sec", 0), 0, time.Local)
	setDate(t, d)
	L.Push(lua.LNumber(d.Unix()))
	return 1
}

// setDate fills t as os.date("*t") does.
func setDate(t *lua.LTable, d time.Time) {
	for name, v := range map[string]int{
		"year": d.Year(), "month": int(d.Month()), "day": d.Day(), "hour": d.Hour(), "min": d.Minute(), "sec": d.Second(),
		"yday": d.YearDay(), "wday": int(d.Weekday()) + 1,
	} {
		t.RawSetString(name, lua.LNumber(v))
	}
	t.RawSetString("isdst", lua.LBool(d.IsDST()))
}

func osDate(h *Host, L *lua.LState) int {
	format := h.optStr(L, 1, "%c")
	d := h.opts.Now()
	if L.Get(2) != lua.LNil {
		d = time.Unix(int64(h.int(L, 2)), 0)
	}
	if d = d.Local(); strings.HasPrefix(format, "!") {
		d, format = d.UTC(), format[1:]
	}
	if strings.HasPrefix(format, "*t") {
		t := L.NewTable()
		setDate(t, d)
		L.Push(t)
		return 1
	}
	h.Charge(L, len(format))
	s, ok := strftime(d, format)
	if !ok {
		h.argError(L, 1, "invalid conversion specifier '"+s+"'")
	}
	L.Push(lua.LString(s))
	return 1
}

// strftime is C's, in the C locale. When ok is false, s is the conversion that it does not know.
func strftime(d time.Time, format string) (s string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			b.WriteByte(format[i])
			continue
		}
		if i++; i == len(format) {
			return "%", false
		}
		text, ok := conversion(d, format[i])
		if !ok {
			return format[i-1 : i+1], false
		}
		b.WriteString(text)
	}
	return b.String(), true
}

// layouts are the conversions that time.Format knows.
var layouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006", 'd': "02", 'D': "01/02/06", 'e': "_2",
	'F': "2006-01-02", 'h': "Jan", 'H': "15", 'I': "03", 'm': "01", 'M': "04", 'p': "PM", 'r': "03:04:05 PM", 'R': "15:04",
	'S': "05", 'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}

func conversion(d time.Time, c byte) (string, bool) {
	if layout, ok := layouts[c]; ok {
		return d.Format(layout), true
	}
	year, week := d.ISOWeek()
	switch c {
	case 'C':
		return fmt.Sprintf("%02d", d.Year()/100), true
	case 'g':
		return fmt.Sprintf("%02d", year%100), true
	case 'G':
		return fmt.Sprint(year), true
	case 'j':
		return fmt.Sprintf("%03d", d.YearDay()), true
	case 'n':
		return "\n", true
	case 's':
		return fmt.Sprint(d.Unix()), true
	case 't':
		return "\t", true
	case 'u':
		return fmt.Sprint((int(d.Weekday())+6)%7 + 1), true
	case 'U':
		return fmt.Sprintf("%02d", (d.YearDay()+6-int(d.Weekday()))/7), true
	case 'V':
		return fmt.Sprintf("%02d", week), true
	case 'w':
		return fmt.Sprint(int(d.Weekday())), true
	case 'W':
		return fmt.Sprintf("%02d", (d.YearDay()+6-(int(d.Weekday())+6)%7)/7), true
	case '%':
		return "%", true
	}
	return "", false
}
