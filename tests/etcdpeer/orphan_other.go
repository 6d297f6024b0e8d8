// Elsewhere an etcd outlives a test process that is killed.

//go:build !linux

package etcdpeer

import "os/exec"

func leash(*exec.Cmd) {}
