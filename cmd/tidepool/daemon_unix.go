//go:build unix

// Leaving the terminal, and root's rights.

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// daemonMark in the environment says that this process is the one that stays; its file 3 is a pipe to the one that started it.
const daemonMark = "TIDEPOOL_DAEMON"

func isDaemon() bool { return os.Getenv(daemonMark) != "" }

// detach starts this program again in a session of its own and waits until that serves clients, or says why it does not: so whoever
// runs the command learns it. memcached's parent does not wait.
func detach(args []string, verbose bool) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot start in the background: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot start in the background: %w", err)
	}
	defer r.Close()
	c := exec.Command(self, append([]string{"memcached"}, args...)...)
	c.Env = append(os.Environ(), daemonMark+"=1")
	c.ExtraFiles = []*os.File{w}
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if verbose {
		c.Stderr = os.Stderr
	}
	err = c.Start()
	w.Close()
	if err != nil {
		return fmt.Errorf("cannot start in the background: %w", err)
	}
	said, err := io.ReadAll(r)
	switch {
	case err != nil:
		return fmt.Errorf("cannot start in the background: %w", err)
	case string(said) == daemonReady:
		return c.Process.Release()
	case len(said) == 0:
		return errors.Join(errors.New("cannot start in the background"), c.Wait())
	}
	return errors.New(string(said))
}

// daemonReady is what the one that stays says when clients may come; anything else is why they may not.
const daemonReady = "ready\n"

// daemonParent gives what tells the process that waits in detach. Outside a daemon it does nothing.
func daemonParent(daemon bool) (ready func(error), err error) {
	if !daemon {
		return func(error) {}, nil
	}
	if err := os.Unsetenv(daemonMark); err != nil { // scripts may start programs
		return nil, err
	}
	syscall.CloseOnExec(3)
	pipe := os.NewFile(3, "pipe to who started it")
	return func(failed error) {
		if pipe == nil {
			return
		}
		said := daemonReady
		if failed != nil {
			said = failed.Error()
		}
		_, _ = io.WriteString(pipe, said) // who started it may have gone
		pipe.Close()
		pipe = nil
	}, nil
}

// becomeUser gives root's rights up for those of a user, by name or number.
func becomeUser(name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		if u, err = user.LookupId(name); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	if uid == 0 {
		return nil
	}
	if err := syscall.Setgroups([]int{gid}); err != nil {
		return err
	}
	return errors.Join(syscall.Setgid(gid), syscall.Setuid(uid)) // in this order: the last takes away the right to the first
}
