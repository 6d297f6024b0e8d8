// The step budget: what is left, and the error that no script can catch.

package lualib

import (
	"runtime/debug"

	lua "github.com/yuin/gopher-lua"
)

// meter counts steps. Compiled code counts down count, an upvalue that all functions of the state share; when it falls below zero,
// tick moves another quantum over from reserve. So what is left is always known exactly: count + reserve.
type meter struct {
	count   lua.Upvalue // zero value: closed, as gopher-lua sees it
	reserve int64
	cut     bool
}

// quantum is how many steps count gets at most. gopher-lua keeps the numbers 0 to 127 boxed: counting among them allocates nothing.
const quantum = 128

var boxed = func() (b [quantum]lua.LValue) {
	for i := range b {
		b[i] = lua.LNumber(i)
	}
	return b
}()

// Reset gives n steps to what runs next. A task that waits keeps Left and gives it back with Reset when it is resumed.
func (h *Host) Reset(n int64) {
	h.meter.cut = false
	h.meter.give(max(n, 0))
}

func (m *meter) give(n int64) {
	q := min(n, quantum-1)
	m.count.SetValue(boxed[q])
	m.reserve = n - q
}

// Left is how many steps remain.
func (h *Host) Left() int64 {
	n, _ := h.meter.count.Value().(lua.LNumber)
	return max(int64(n)+h.meter.reserve, 0)
}

// Cut reports that the steps ran out, or Stop was called, since the last Reset: the error that is unwinding is not to be caught.
func (h *Host) Cut() bool { return h.meter.cut }

// Charge takes n steps and raises the budget error, which no script can catch, when they are not there.
func (h *Host) Charge(L *lua.LState, n int) {
	m := &h.meter
	n = max(n, 0) // a __len may say anything
	if m.reserve >= int64(n) {
		m.reserve -= int64(n)
		return
	}
	left := h.Left() - int64(n)
	if left < 0 {
		h.exhaust(L)
	}
	m.give(left)
}

// Debit is Charge for what has been done: it takes what there is and raises nothing. The next step finds that there is none left.
func (h *Host) Debit(n int) { h.meter.give(max(h.Left()-int64(max(n, 0)), 0)) }

// bytesPerStep is what a builtin may copy, compare or scan for a step.
const bytesPerStep = 16

// chargeBytes charges for n bytes made or looked at.
func (h *Host) chargeBytes(L *lua.LState, n int) { h.Charge(L, n/bytesPerStep+1) }

func (h *Host) exhaust(L *lua.LState) { h.Stop(L, "step budget exhausted: the script ran too long") }

// Stop raises an error that no script can catch, and takes away what steps are left.
func (h *Host) Stop(L *lua.LState, msg string) {
	h.meter.cut = true
	h.meter.give(0)
	h.raise(L, "%s", msg)
}

// tick is what a step calls when count has fallen below zero: the step that called it is paid from the reserve.
func tick(h *Host, L *lua.LState) int {
	m := &h.meter
	owed, _ := m.count.Value().(lua.LNumber) // -1, or less where tables are made
	left := m.reserve + int64(owed)
	if left < 0 {
		h.exhaust(L)
	}
	m.give(left)
	return 0
}

// Guard wraps a builtin so that a Go panic in it becomes a Lua error that names it; budget and Lua errors pass through.
func (h *Host) Guard(name string, fn lua.LGFunction) lua.LGFunction {
	return func(L *lua.LState) int {
		defer func() {
			if r := recover(); r != nil {
				h.panicked(L, name, r)
			}
		}()
		return fn(L)
	}
}

// panicked passes Lua errors on and turns what else was thrown into one.
func (h *Host) panicked(L *lua.LState, name string, r any) {
	switch r := r.(type) {
	case *lua.ApiError:
		panic(r)
	case string:
		if r == callStackOverflow {
			h.raise(L, "stack overflow")
		}
	}
	if h.opts.Panicked != nil {
		h.opts.Panicked(name, r, debug.Stack())
	}
	h.raise(L, "internal error in '%s': %v", name, r)
}

// callStackOverflow is what gopher-lua throws when a call stack made with MinimizeStackMemory is full.
const callStackOverflow = "lua callstack overflow"
