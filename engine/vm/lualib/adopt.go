// Adopt: a coroutine that goes on where a machine of package quick has left.

package lualib

import (
	"fmt"
	"reflect"
	"unsafe"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/quick"
)

// called holds where a call frame has its numbers, and where frames are pushed; found as layout is.
var called struct {
	frame, stack                                               reflect.Type
	at                                                         uintptr // LState.stack
	base, localBase, returnBase, arguments, results, tailCalls uintptr
}

var errCalled = findCalled()

func findCalled() error {
	stack, ok := reflect.TypeFor[lua.LState]().FieldByName("stack")
	current, also := reflect.TypeFor[lua.LState]().FieldByName("currentFrame")
	if !ok || !also || stack.Type.Kind() != reflect.Interface || current.Type.Kind() != reflect.Pointer {
		return fmt.Errorf("cannot find LState.stack in this gopher-lua")
	}
	push, ok := stack.Type.MethodByName("Push")
	last, also := stack.Type.MethodByName("Last")
	set, too := stack.Type.MethodByName("SetSp")
	if !ok || !also || !too || set.Type != reflect.TypeFor[func(int)]() || push.Type != reflect.FuncOf([]reflect.Type{current.Type.Elem()}, nil, false) ||
		last.Type != reflect.FuncOf(nil, []reflect.Type{current.Type}, false) {
		return fmt.Errorf("cannot find callFrameStack's Push, Last and SetSp in this gopher-lua")
	}
	called.frame, called.stack, called.at = current.Type.Elem(), stack.Type, stack.Offset
	for _, f := range []struct {
		name string
		to   *uintptr
	}{
		{"Base", &called.base}, {"LocalBase", &called.localBase}, {"ReturnBase", &called.returnBase}, {"NArgs", &called.arguments},
		{"NRet", &called.results}, {"TailCall", &called.tailCalls},
	} {
		field, ok := called.frame.FieldByName(f.name)
		if !ok || field.Type.Kind() != reflect.Int {
			return fmt.Errorf("cannot find callFrame.%s in this gopher-lua", f.name)
		}
		*f.to = field.Offset
	}
	return nil
}

// scrub drops what another thread has left in the stack of th, which has run nothing yet: gopher-lua has a pool of the parts of stacks, and they
// keep alive whatever state they were used in last.
func scrub(th *lua.LState) {
	stack := stackOf(th)
	push, none := stack.MethodByName("Push"), []reflect.Value{reflect.Zero(called.frame)}
	for range lua.FramesPerSegment {
		push.Call(none)
	}
	stack.MethodByName("SetSp").Call([]reflect.Value{reflect.ValueOf(0)})
}

func stackOf(th *lua.LState) reflect.Value {
	return reflect.NewAt(called.stack, unsafe.Add(unsafe.Pointer(th), called.at)).Elem()
}

// frames pushes call frames on a thread that runs nothing.
type frames struct {
	th         *lua.LState
	push, last reflect.Value
}

func framesOf(th *lua.LState) frames {
	stack := stackOf(th)
	return frames{th, stack.MethodByName("Push"), stack.MethodByName("Last")}
}

// add adds a call of fn, which stands in register base, and whose next instruction is pc.
func (f frames) add(fn *lua.LFunction, base, pc, results, tailCalls int) {
	cf := reflect.New(called.frame)
	p := cf.UnsafePointer()
	*(**lua.LFunction)(unsafe.Add(p, layout.fn)) = fn
	*(*unsafe.Pointer)(unsafe.Add(p, layout.parent)) = top(f.th).p
	for _, n := range [...]struct {
		at uintptr
		n  int
	}{
		{layout.pc, pc}, {called.base, base}, {called.localBase, base + 1}, {called.returnBase, base}, {called.results, results},
		{called.arguments, int(fn.Proto.NumParameters)}, {called.tailCalls, tailCalls},
	} {
		*(*int)(unsafe.Add(p, n.at)) = n.n
	}
	f.push.Call([]reflect.Value{cf.Elem()})
	*(*unsafe.Pointer)(unsafe.Add(unsafe.Pointer(f.th), layout.current)) = f.last.Call(nil)[0].UnsafePointer()
}

// Adopt puts what m has Left on th, which runs nothing, above entry(f, r), which calls f(r), and goes on there, as Resume does.
func (h *Host) Adopt(L, th *lua.LState, entry *lua.LFunction, m *quick.Machine) (lua.ResumeState, error, []lua.LValue) {
	th.SetTop(0)
	f := framesOf(th)
	all, registers := m.Frames(), m.Registers()
	pc := 0
	for opcode(entry.Proto.Code[pc]) != lua.OP_CALL {
		pc++
	}
	bottom := 1 + register(entry.Proto.Code[pc]) // where f stands, to be called
	th.Push(entry)
	for range bottom - 1 {
		th.Push(lua.LNil)
	}
	for _, v := range registers {
		if v == nil {
			v = lua.LNil
		}
		th.Push(v)
	}
	f.add(entry, 0, pc+1, lua.MultRet, 0)
	results := wants(entry.Proto.Code[pc])
	for _, q := range all {
		f.add(q.Fn, bottom+q.Base-1, q.PC, results, q.Tail)
		if q.PC > 0 {
			results = wants(q.Fn.Proto.Code[q.PC-1])
		}
	}
	th.Panic = h.thrown
	return L.Resume(th, nil)
}
