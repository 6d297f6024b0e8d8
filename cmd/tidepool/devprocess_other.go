//go:build !linux

// How dev starts processes elsewhere.

package main

import "syscall"

// childAttributes: nothing of it is the same everywhere.
func childAttributes() *syscall.SysProcAttr { return nil }
