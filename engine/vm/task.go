// A request's run: started, suspended while it waits, resumed, reused.

package vm

import (
	"regexp"
	"strings"

	lua "github.com/yuin/gopher-lua"

	"github.com/tidepool-proxy/tidepool/engine/vm/quick"
)

// Status is what a task is doing after it has run.
type Status uint8

// The statuses.
const (
	Finished  Status = iota // Task.Result holds the route's first result
	Waiting                 // it called Wait; Resume it with what it waits for
	Returning               // it called Wait as its last act, `return pool(r)`: Return what it waits for
	Failed                  // Task.Err says why; the thread is thrown away
)

// Task is one request's run in a state: on its machine, or on a coroutine. It is used with the state's lock held.
type Task struct {
	Result lua.LValue // after Finished and Return
	Err    error      // after Failed: a *ScriptError
	Data   any        // the API's own data; kept while the task is pooled
	Spent  int64      // steps that it took when it last ran

	st      *State
	th      *lua.LState
	left    int64 // steps left of the budget
	waiting bool  // Wait has been called and the yield is on its way out
	last    bool  // Wait has been called and there is nothing to come back to
	quickly bool  // machine runs it, and th does not
	machine quick.Machine
	args    [2]lua.LValue
	next    *Task
}

// NewTask gives a task, new or reused.
func (s *State) NewTask() *Task {
	t := s.free
	if t == nil {
		t = &Task{st: s}
		t.machine.Set = &s.Host.Quick
	} else {
		s.free = t.next
		t.next = nil
	}
	t.left = s.opts.Steps
	return t
}

// FreeTask gives t back after it has Finished or Failed. A task that is still Waiting must be given to DropTask.
func (s *State) FreeTask(t *Task) {
	if t.quickly {
		t.machine.End()
	}
	t.Result, t.Err, t.last, t.quickly = nil, nil, false, false
	t.next = s.free
	s.free = t
}

// DropTask gives up a task that waits. A thread with the script's frames on it goes to the garbage collector.
func (s *State) DropTask(t *Task) {
	if !t.quickly {
		t.th = nil
	}
	s.FreeTask(t)
}

// Start calls fn(arg) in the task's coroutine; where a machine of package quick can run it there is no coroutine.
func (t *Task) Start(fn *lua.LFunction, arg lua.LValue) Status {
	if t.quickly = t.st.Host.Quick.Runs(fn); t.quickly {
		t.machine.Begin(fn, arg)
		return t.run(nil, nil)
	}
	t.thread()
	t.args[0], t.args[1] = fn, arg
	return t.run(t.st.entry, t.args[:])
}

// thread gives the task a coroutine that runs nothing.
func (t *Task) thread() {
	if s := t.st; t.th != nil {
	} else if n := len(s.spare); n > 0 {
		t.th, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		t.th = s.Host.NewThread()
	}
	t.th.Dead = false
}

// Resume goes on after a wait: vs, at most two values, are what the waiting call returns.
func (t *Task) Resume(vs ...lua.LValue) Status {
	return t.run(nil, t.args[:copy(t.args[:], vs)])
}

// Returns reports whether the task has nothing left to do but to Return.
func (t *Task) Returns() bool { return t.last }

// Return ends a task that is Returning with what it waited for. No Lua runs.
func (t *Task) Return(v lua.LValue) {
	t.Result, t.Spent, t.last = v, 0, false
}

func (t *Task) run(entry *lua.LFunction, args []lua.LValue) (status Status) {
	s := t.st
	prev, top := s.cur, s.L.GetTop()
	s.cur = t
	s.Host.Reset(t.left)
	outer := s.Host.Leave()
	t.waiting = false
	defer func() {
		s.Host.Return(outer)
		before := t.left
		t.left = s.Host.Left()
		t.Spent = before - t.left
		s.cur = prev
		if r := recover(); r != nil {
			s.L.SetTop(top)
			s.L.G.CurrentThread = s.L
			status = t.fail(recovered(r))
		}
	}()
	if t.quickly {
		return t.runQuickly(args)
	}
	return t.ran(s.Host.Resume(s.L, t.th, entry, args...))
}

// runQuickly is run on the machine, and where that leaves on a coroutine. args are nil to begin.
func (t *Task) runQuickly(args []lua.LValue) Status {
	s, m := t.st, &t.machine
	var did quick.Outcome
	if args == nil {
		did = m.Run()
	} else {
		did = m.Resume(args)
	}
	switch did {
	case quick.Returned:
		t.Result = m.Result
		return Finished
	case quick.Waiting:
		return Waiting
	case quick.Last:
		t.last = true
		return Returning
	}
	t.thread()
	t.quickly = false
	defer m.End()
	return t.ran(s.Host.Adopt(s.L, t.th, s.entry, m))
}

// ran looks at how the coroutine stopped.
func (t *Task) ran(rs lua.ResumeState, err error, vals []lua.LValue) Status {
	s := t.st
	switch {
	case rs == lua.ResumeYield && t.waiting:
		return Waiting
	case rs == lua.ResumeYield:
		return t.fail(errYieldOutside)
	case rs == lua.ResumeError:
		return t.fail(t.trace(scriptError(err)))
	case t.waiting: // ended although a wait had begun: gopher-lua lost the yield
		return t.fail(errWaitInside)
	case t.last: // its thread is free for others, which are as many as wait at a time
		s.spare, t.th = append(s.spare, t.th), nil
		return Returning
	}
	t.Result = vals[0]
	return Finished
}

func (t *Task) fail(err error) Status {
	if t.waiting {
		err = errWaitInside
	}
	t.th = nil // a thread that ended in an error is not used again
	t.Err = err
	return Failed
}

var place = regexp.MustCompile(`^[^\n]*?:\d+:`)

// trace adds the failed thread's stack to err.
func (t *Task) trace(err error) error {
	if e, ok := err.(*ScriptError); ok && e.Traceback == "" {
		e.Traceback = traceback(t.th)
		if at := place.FindString(e.Message); at != "" && !strings.HasPrefix(e.Traceback, "\t"+at) {
			e.Traceback = strings.TrimRight("\t"+at+" here\n"+e.Traceback, "\n") // gopher-lua has dropped the frame that failed
		} else if at := place.FindString(e.Traceback); e.Message == overflow && at != "" {
			e.Message = strings.TrimSpace(at) + " " + overflow
		}
	}
	return err
}

// Wait makes the running task wait. A Go function called by a script, having arranged that somebody will Resume the task, or Return
// from it, returns Wait's result; block is used where the coroutine cannot be yielded: it is called with the lock released
// and must return when what is waited for is there; then result gives, with the lock held, the values that the waiting call returns.
func (s *State) Wait(L *lua.LState, block func(), result func() []lua.LValue) int {
	t := s.cur
	if s.Host.OnDesk(L) {
		return quick.Waits
	}
	if s.Host.CanYield(L, t.th) {
		if t.last = s.Host.IsLast(L, t.th); t.last {
			return 0
		}
		t.waiting = true
		return L.Yield()
	}
	place, left := s.Host.Leave(), s.Host.Left()
	s.mu.Unlock()
	block()
	s.mu.Lock()
	s.cur = t
	s.Host.Return(place)
	s.Host.Reset(left)
	L.G.CurrentThread = L
	vs := result()
	for _, v := range vs {
		L.Push(v)
	}
	return len(vs)
}

// Invoke calls fn outside any task, where nothing can wait, with a budget of its own: a request's, and gives its results. It
// may be called while a task runs. Errors are *ScriptError.
func (s *State) Invoke(fn *lua.LFunction, args ...lua.LValue) (vs []lua.LValue, err error) {
	cur, top, left := s.cur, s.L.GetTop(), s.Host.Left()
	running := s.L.G.CurrentThread
	s.cur = nil
	s.Host.Reset(s.opts.Steps)
	place := s.Host.Leave()
	defer func() {
		s.Host.Return(place)
		s.Host.Reset(left)
		s.cur = cur
		if r := recover(); r != nil {
			s.L.SetTop(top)
			s.L.G.CurrentThread = running
			err = recovered(r)
		}
	}()
	if vs, err = s.Host.Call(running, fn, args...); err != nil {
		return nil, scriptError(err)
	}
	return vs, nil
}
