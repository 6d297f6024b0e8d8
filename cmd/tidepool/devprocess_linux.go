// How dev starts processes where the kernel ends them with it.

package main

import "syscall"

// childAttributes: Ctrl-C is for dev alone, which stops the others in order; and none outlives it, however it ends.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
