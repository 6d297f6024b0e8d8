// What systemd is told of a process that it started with Type=notify.

package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
)

// The words of sd_notify(3) that are used here.
const (
	notifyReady    = "READY=1"
	notifyStopping = "STOPPING=1"
)

// notify tells whoever started this process, if they have said where they listen. That it cannot be told is no reason not to serve: they will
// find out, and say so.
func notify(log *slog.Logger, state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if name, ok := strings.CutPrefix(path, "@"); ok {
		path = "\x00" + name // in Linux' abstract namespace
	}
	if err := sendTo(path, state); err != nil {
		log.Warn("cannot notify systemd", "err", err)
	}
}

func sendTo(path, state string) error {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("cannot send %q: %w", state, err)
	}
	defer c.Close()
	_, err = c.Write([]byte(state))
	return err
}
