// Processes are gone when they have been stopped, however the run went.

package main

import (
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// TestMain lets the test binary be the process under test: it listens until it is ended.
func TestMain(m *testing.M) {
	if addr := os.Getenv("BENCHPEERS_LISTEN"); addr != "" {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			os.Exit(1)
		}
		for {
			if c, err := ln.Accept(); err == nil {
				_ = c.Close()
			}
		}
	}
	os.Exit(m.Run())
}

func TestStopEndsEverything(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	addrs, err := proc.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	func() {
		var ps procs
		defer ps.stop()
		for _, addr := range addrs {
			t.Setenv("BENCHPEERS_LISTEN", addr)
			p, err := ps.start(t.Context(), "listener", addr, self)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, p.PID())
		}
	}()
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d is still there: %v", pid, err)
		}
	}
}

func TestStartSaysWhatEnded(t *testing.T) {
	addrs, err := proc.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	var ps procs
	defer ps.stop()
	_, err = ps.start(t.Context(), "false", addrs[0], "/bin/sh", "-c", "echo no such luck; exit 1")
	if err == nil || !strings.Contains(err.Error(), "cannot start false: it ended:\nno such luck") {
		t.Errorf("got %v", err)
	}
}
