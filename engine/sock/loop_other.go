// Other systems have no Loop: there goroutines wait.

//go:build unix && !linux

package sock

import (
	"errors"
	"syscall"
)

// Loop is not there.
type Loop struct{}

// Runner is something to run in a Loop.
type Runner interface{ Run(leave func()) }

// NewLoop fails.
func NewLoop() (*Loop, error) { return nil, errors.ErrUnsupported }

func (*Loop) On() bool                         { return false }
func (*Loop) Set(bool)                         {}
func (*Loop) Close()                           {}
func (*Loop) Soon(Runner)                      {}
func (*Loop) Later(Runner) bool                { return false }
func (*Loop) Leave()                           {}
func (*Loop) NewWatch(f func(all bool)) *Watch { return nil }

// Watch is not there.
type Watch struct{}

func (*Watch) Join(syscall.Conn) error { return errors.ErrUnsupported }
func (*Watch) Part(syscall.Conn)       {}
func (*Watch) Again()                  {}
