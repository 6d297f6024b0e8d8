// Admin addresses: TCP and unix sockets, and which of them only this machine reaches.

package admin

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

const unixPrefix = "unix:"

// address is where to listen.
type address struct {
	unix  string // a path; "" for TCP
	tcp   *net.TCPAddr
	local bool // nobody outside this machine can connect
}

// parseAddress reads "host:port" or "unix:/path". A name is looked up here, so that what was found to be loopback
// is what is bound.
func parseAddress(s string) (address, error) {
	if path, ok := strings.CutPrefix(s, unixPrefix); ok {
		if path == "" {
			return address{}, errors.New(`want a path after "unix:"`)
		}
		return address{unix: path, local: true}, nil
	}
	if _, _, err := net.SplitHostPort(s); err != nil {
		return address{}, errors.New(`want "host:port" or "unix:/path"`)
	}
	tcp, err := net.ResolveTCPAddr("tcp", s)
	if err != nil {
		return address{}, err
	}
	return address{tcp: tcp, local: tcp.IP.IsLoopback()}, nil
}

func (a address) listen() (net.Listener, error) {
	if a.unix != "" {
		return listenUnix(a.unix)
	}
	ln, err := net.ListenTCP("tcp", a.tcp)
	if err != nil {
		return nil, reason(err)
	}
	return ln, nil
}

// listenUnix binds a socket that only its owner may connect to. A socket file that nobody listens on, as a killed
// process leaves it, is replaced; any other file is left alone.
func listenUnix(path string) (net.Listener, error) {
	if st, err := os.Lstat(path); err == nil {
		if st.Mode().Type() != os.ModeSocket {
			return nil, errors.New("a file that is no socket is in the way")
		}
		c, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			_ = c.Close()
			return nil, errors.New("address already in use")
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, reason(err)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, reason(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = ln.Close()
		return nil, fmt.Errorf("cannot close the socket to others: %w", err)
	}
	return ln, nil
}

// reason is what went wrong without the address, which the caller's message has.
func reason(err error) error {
	var op *net.OpError
	if !errors.As(err, &op) {
		return err
	}
	var sys *os.SyscallError
	if errors.As(op.Err, &sys) {
		return sys.Err
	}
	return op.Err
}
