// A test process that is killed, or runs out of time, takes its etcd with it.

package etcdpeer

import (
	"os/exec"
	"syscall"
)

// leash has the kernel kill the process when the thread that has started it ends.
func leash(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
