// Listeners: what addresses mean, binding, accepting.

package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// maxTag is the longest listener tag in bytes, as in memcached.
const maxTag = 8

// ListenAddr is one address to listen on.
type ListenAddr struct {
	Tag     string // "" for none
	Network string // "tcp" or "unix"
	Address string // host:port or a path
}

// String is the address in the form that ParseListen reads.
func (a ListenAddr) String() string {
	s := a.Address
	if a.Network == "unix" {
		s = "unix:" + s
	}
	if a.Tag != "" {
		s = "tag_" + a.Tag + "_:" + s
	}
	return s
}

// Loopback reports whether only this machine can reach the address.
func (a ListenAddr) Loopback() bool {
	if a.Network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(a.Address)
	if err != nil {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost"
}

// ParseListen reads addresses to listen on: host:port, unix:/path, tag_NAME_:ADDRESS or tag[NAME]:ADDRESS; several are
// separated by commas or semicolons. A prefix proto[ascii]: is accepted and means nothing.
func ParseListen(s string) ([]ListenAddr, error) {
	var out []ListenAddr
	for _, one := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ';' }) {
		a, err := parseOne(strings.TrimSpace(one))
		if err != nil {
			return nil, fmt.Errorf("cannot listen on %q: %w", one, err)
		}
		out = append(out, a)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("cannot listen on %q: want host:port or unix:/path", s)
	}
	return out, nil
}

func parseOne(s string) (a ListenAddr, err error) {
	for {
		switch {
		case strings.HasPrefix(s, "tag_"):
			name, rest, ok := strings.Cut(s[len("tag_"):], "_:")
			if !ok {
				return a, errors.New("want tag_NAME_:address")
			}
			a.Tag, s, err = name, rest, checkTag(a.Tag, name)
		case strings.HasPrefix(s, "tag["):
			name, rest, ok := strings.Cut(s[len("tag["):], "]:")
			if !ok {
				return a, errors.New("want tag[NAME]:address")
			}
			a.Tag, s, err = name, rest, checkTag(a.Tag, name)
		case strings.HasPrefix(s, "proto["):
			name, rest, ok := strings.Cut(s[len("proto["):], "]:")
			if !ok || name != "ascii" {
				return a, errors.New("the only protocol is proto[ascii]")
			}
			s = rest
		case strings.HasPrefix(s, "unix:"):
			a.Network, a.Address = "unix", s[len("unix:"):]
			if a.Address == "" {
				return a, errors.New("want a path after unix:")
			}
			return a, nil
		default:
			a.Network, a.Address = "tcp", s
			return a, checkHostPort(s)
		}
		if err != nil {
			return a, err
		}
	}
}

func checkTag(old, name string) error {
	if old != "" {
		return errors.New("a listener has one tag")
	}
	return CheckTag(name)
}

// CheckTag says whether name can be a listener's tag.
func CheckTag(name string) error {
	if name == "" || len(name) > maxTag {
		return fmt.Errorf("tag %q must be 1 to %d characters", name, maxTag)
	}
	return nil
}

func checkHostPort(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		var ae *net.AddrError
		if errors.As(err, &ae) {
			return fmt.Errorf("want host:port or unix:/path: %s", ae.Err)
		}
		return err
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("port %q must be a number from 0 to 65535", port)
	}
	return nil
}

// listener is one bound address.
type listener struct {
	addr    ListenAddr // Address as bound: the port that the kernel chose
	ln      net.Listener
	fd      int
	counted listenerCounters
}

func (l *listener) close() { l.ln.Close() }

// Listen binds the addresses of s (see ParseListen). If Serve is running, they are accepted on at once. If one cannot be
// bound, none of s is.
func (s *Server) Listen(addrs string) error {
	list, err := ParseListen(addrs)
	if err != nil {
		return err
	}
	var bound []*listener
	for _, a := range list {
		l, err := bind(a, &s.opts)
		if err != nil {
			for _, b := range bound {
				b.close()
			}
			return err
		}
		bound = append(bound, l)
	}
	return s.adopt(bound)
}

// adopt takes bound listeners over, or closes them if the server has stopped.
func (s *Server) adopt(ls []*listener) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range ls {
		if s.stopped {
			l.close()
			continue
		}
		s.listeners = append(s.listeners, l)
		if s.serving {
			s.start(l)
		}
	}
	if s.stopped {
		return errors.New("cannot listen: the server is stopped")
	}
	return nil
}

// Addrs are the bound addresses, in the order of Listen, with the ports that the kernel chose.
func (s *Server) Addrs() []ListenAddr {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]ListenAddr, len(s.listeners))
	for i, l := range s.listeners {
		out[i] = l.addr
	}
	return out
}

func bind(a ListenAddr, o *Options) (*listener, error) {
	if a.Network == "unix" {
		if err := removeStale(a.Address); err != nil {
			return nil, fmt.Errorf("cannot listen on %q: %w", a, err)
		}
	}
	ln, err := net.Listen(a.Network, a.Address)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %q: %w", a, err)
	}
	if a.Network == "unix" {
		if err := os.Chmod(a.Address, o.UnixMode); err != nil {
			ln.Close()
			return nil, fmt.Errorf("cannot listen on %q: %w", a, err)
		}
	} else {
		a.Address = ln.Addr().String()
	}
	l := &listener{addr: a, ln: ln}
	if err := l.control(o.Backlog); err != nil {
		ln.Close()
		return nil, fmt.Errorf("cannot listen on %q: %w", a, err)
	}
	return l, nil
}

// control notes the socket's number, and shortens or lengthens its queue of clients.
func (l *listener) control(backlog int) error {
	sc, ok := l.ln.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var listening error
	err = raw.Control(func(fd uintptr) {
		if l.fd = int(fd); backlog > 0 {
			listening = setBacklog(l.fd, backlog)
		}
	})
	return errors.Join(err, listening)
}

// removeStale removes a unix socket that a dead process left behind. It removes nothing else, and no socket that
// someone listens on.
func removeStale(path string) error {
	fi, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if fi.Mode()&os.ModeSocket == 0 {
		return errors.New("the file exists and is not a socket")
	}
	nc, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		nc.Close()
		return errors.New("another process listens on it")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// start runs the accept loop of l. The caller holds s.mu.
func (s *Server) start(l *listener) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		s.acceptLoop(l)
	}()
}

// How long accepting pauses after an error such as too many open files: from, doubling, to.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

func (s *Server) acceptLoop(l *listener) {
	pause := time.Duration(0)
	for {
		nc, err := l.ln.Accept()
		if err == nil {
			pause = 0
			s.accepted(l, nc)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		l.counted.acceptErrors.Add(1)
		if pause == 0 {
			s.opts.Log.Error("cannot accept connections", "listener", l.addr.String(), "err", err)
		}
		pause = min(max(2*pause, minPause), maxPause)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-s.stop:
			t.Stop()
			return
		}
	}
}

// accepted starts a connection or refuses it.
func (s *Server) accepted(l *listener, nc net.Conn) {
	c, err := s.newConn(l, nc)
	if err == nil {
		if err = s.add(c); err == nil {
			go c.run()
			return
		}
	}
	if errors.Is(err, errTooMany) {
		l.counted.rejected.Add(1)
		nc.SetWriteDeadline(time.Now().Add(time.Second)) // the socket is new and its buffer empty: this does not block
		nc.Write(lineTooMany)
	} else if !errors.Is(err, net.ErrClosed) {
		s.opts.Log.Error("cannot serve a connection", "listener", l.addr.String(), "err", err)
	}
	nc.Close()
}
