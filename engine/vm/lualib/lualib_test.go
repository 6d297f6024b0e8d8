package lualib

import (
	"strings"
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// newState opens a state whose print goes into the builder.
func newState(t testing.TB, opts Options) (*lua.LState, *Host, *strings.Builder) {
	t.Helper()
	out := &strings.Builder{}
	L := lua.NewState(StateOptions())
	t.Cleanup(L.Close)
	h := &Host{}
	h.Reset(100_000_000)
	if opts.Print == nil {
		opts.Print = func(s string) { out.WriteString(s + "\n") }
	}
	if err := Open(L, h, opts); err != nil {
		t.Fatal(err)
	}
	return L, h, out
}

// runNamed runs src on the main thread of a new state and returns what it printed and its error.
func runNamed(t testing.TB, opts Options, name, src string) (string, error) {
	t.Helper()
	L, h, out := newState(t, opts)
	fn, err := h.Load([]byte(src), name)
	if err != nil {
		return "", err
	}
	L.Push(fn)
	err = L.PCall(0, 0, nil)
	return out.String(), err
}

func run(t testing.TB, opts Options, src string) (string, error) {
	t.Helper()
	return runNamed(t, opts, "test.lua", src)
}

// loading are the options of a configuration state.
func loading() Options { return Options{Loading: func() bool { return true }} }
