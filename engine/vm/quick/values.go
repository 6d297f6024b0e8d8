// What instructions do with plain values.

package quick

import (
	"math"

	lua "github.com/yuin/gopher-lua"
)

func rk(regs, k []lua.LValue, n uint16) lua.LValue {
	if n >= 0x100 {
		return k[n-0x100]
	}
	return regs[n]
}

func truth(v lua.LValue) bool {
	switch v := v.(type) {
	case *lua.LNilType:
		return false
	case lua.LBool:
		return bool(v)
	}
	return true
}

// index is o[k] where that calls nothing.
func index(o, k lua.LValue) (v lua.LValue, ok bool) {
	t, ok := o.(*lua.LTable)
	if !ok {
		return nil, false
	}
	if s, is := k.(lua.LString); is {
		v = t.RawGetString(string(s))
	} else {
		v = t.RawGet(k)
	}
	return v, v != lua.LNil || t.Metatable == lua.LNil
}

// Store is o[k] = v where that calls nothing and is no error; false: it has done nothing.
func Store(o, k, v lua.LValue) bool {
	t, ok := o.(*lua.LTable)
	if !ok || t.Metatable != lua.LNil {
		return false
	}
	switch n := k.(type) {
	case lua.LString:
		t.RawSetString(string(n), v)
	case lua.LNumber:
		if math.IsNaN(float64(n)) {
			return false
		}
		t.RawSet(k, v)
	default:
		return false
	}
	return true
}

// method is o[name] of an object or a table, by tables alone.
func (s *Set) method(o lua.LValue, name lua.LString, at *site) (v lua.LValue, ok bool) {
	switch o := o.(type) {
	case *lua.LUserData:
		mt, ok := o.Metatable.(*lua.LTable)
		if !ok {
			return nil, false
		}
		if at.mt == mt && !s.Changing {
			return at.fn, true
		}
		methods, ok := mt.RawGetString("__index").(*lua.LTable)
		if !ok {
			return nil, false
		}
		fn, ok := methods.RawGetString(string(name)).(*lua.LFunction)
		if !ok {
			return nil, false
		}
		at.mt, at.fn = mt, fn
		return fn, true
	case lua.LString:
		if methods, ok := s.L.GetMetaField(o, "__index").(*lua.LTable); ok && methods.Metatable == lua.LNil {
			return methods.RawGetString(string(name)), true
		}
	case *lua.LTable:
		v := o.RawGetString(string(name))
		for range 4 {
			if v != lua.LNil || o.Metatable == lua.LNil {
				return v, true
			}
			mt, ok := o.Metatable.(*lua.LTable)
			if !ok {
				return nil, false
			}
			switch next := mt.RawGetString("__index").(type) {
			case *lua.LNilType:
				return lua.LNil, true
			case *lua.LTable:
				o = next
				v = o.RawGetString(string(name))
			default:
				return nil, false
			}
		}
	}
	return nil, false
}

// equals is x == y where that calls nothing.
func equals(x, y lua.LValue) (equal, ok bool) {
	switch x := x.(type) {
	case lua.LNumber:
		y, ok := y.(lua.LNumber)
		return ok && x == y, true
	case lua.LString:
		y, ok := y.(lua.LString)
		return ok && x == y, true
	case lua.LBool:
		y, ok := y.(lua.LBool)
		return ok && x == y, true
	case *lua.LNilType:
		_, ok := y.(*lua.LNilType)
		return ok, true
	case *lua.LTable:
		t, ok := y.(*lua.LTable)
		if !ok || t == x {
			return ok, true
		}
		return false, unequal(x.Metatable, t.Metatable)
	case *lua.LUserData:
		u, ok := y.(*lua.LUserData)
		if !ok || u == x {
			return ok, true
		}
		return false, unequal(x.Metatable, u.Metatable)
	}
	return x == y, true
}

// unequal is that two objects with these metatables are equal only if they are one.
func unequal(x, y lua.LValue) bool {
	for _, mt := range [2]lua.LValue{x, y} {
		if t, ok := mt.(*lua.LTable); !ok || t.RawGetString("__eq") == lua.LNil {
			return true
		}
	}
	return false
}

// arithmetic is gopher-lua's.
func arithmetic(op int, x, y lua.LNumber) lua.LNumber {
	switch op {
	case lua.OP_ADD:
		return x + y
	case lua.OP_SUB:
		return x - y
	case lua.OP_MUL:
		return x * y
	case lua.OP_DIV:
		return x / y
	case lua.OP_MOD:
		v := math.Mod(float64(x), float64(y))
		if y > 0 && v < 0 || y < 0 && v > 0 {
			v += float64(y)
		}
		return lua.LNumber(v)
	}
	return lua.LNumber(math.Pow(float64(x), float64(y)))
}

var boxed = func() (b [128]lua.LValue) {
	for i := range b {
		b[i] = lua.LNumber(i)
	}
	return b
}()

// Number boxes n; the small ones that are whole take no memory.
func Number(n lua.LNumber) lua.LValue {
	if n >= 0 && n < lua.LNumber(len(boxed)) {
		if i := int(n); lua.LNumber(i) == n {
			return boxed[i]
		}
	}
	return n
}
