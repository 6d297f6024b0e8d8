// tidepool memcached: memcached's own command line, for who replaces `memcached -o proxy_config=...` and nothing else.

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newMemcachedCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "memcached [memcached's options]",
		Short: "Be started as memcached is: -p, -l, -t, -m, -o proxy_config=FILE ...",
		Long: `Take memcached's command line in place of memcached, with its proxy (-o proxy_config=FILE[:FILE]...,proxy_arg=...) or
without: then it is a cache of its own. Options that make no sense here are taken and do nothing.

It behaves as memcached's proxy does where "tidepool proxy" is kinder: a command that the proxy does not know closes the connection.
SIGHUP loads the configuration again. Without -l and -s it listens on 127.0.0.1, not on every address.`,
		Example: `  tidepool memcached -p 11211 -t 4 -m 1024 -o proxy_config=/etc/memcached/proxy.lua
  tidepool memcached -l tag_a_:127.0.0.1:11211 -l tag_b_:127.0.0.1:11212 -o proxy_config=lib.lua:routes.lua,proxy_arg=z1`,
		DisableFlagParsing: true,
		RunE:               runMemcached,
	}
}

// memcachedOptions are the short and long names that memcached 1.6 takes.
var memcachedOptions = []option{
	{'a', "unix-mask", true}, {'A', "enable-shutdown", false}, {'Z', "enable-ssl", false}, {'p', "port", true},
	{'s', "unix-socket", true}, {'U', "udp-port", true}, {'m', "memory-limit", true}, {'M', "disable-evictions", false},
	{'c', "conn-limit", true}, {'k', "lock-memory", false}, {'h', "help", false}, {'i', "license", false},
	{'V', "version", false}, {'r', "enable-coredumps", false}, {'v', "verbose", false}, {'d', "daemon", false},
	{'l', "listen", true}, {'u', "user", true}, {'P', "pidfile", true}, {'f', "slab-growth-factor", true},
	{'n', "slab-min-size", true}, {'t', "threads", true}, {'D', "delimiter", true}, {'L', "enable-largepages", false},
	{'R', "max-reqs-per-event", true}, {'C', "disable-cas", false}, {'b', "listen-backlog", true}, {'B', "protocol", true},
	{'I', "max-item-size", true}, {'S', "enable-sasl", false}, {'F', "disable-flush-all", false}, {'X', "disable-dumping", false},
	{'W', "disable-watch", false}, {'Y', "auth-file", true}, {'e', "memory-file", true}, {'o', "extended", true}, {'N', "napi-ids", true},
}

// memcachedLine is a command line of memcached's, read.
type memcachedLine struct {
	listen  []string // as given by -l
	port    string
	socket  string
	files   []string
	arg     string
	threads int
	memory  int64 // bytes
	maxItem int64
	conns   int
	idle    time.Duration
	noFlush bool
	verbose int
	pidfile string
	help    bool
	version bool
}

func readMemcachedLine(args []string) (*memcachedLine, error) {
	all, err := getopt(args, memcachedOptions)
	if err != nil {
		return nil, err
	}
	m := &memcachedLine{port: "11211", threads: 4, memory: 64 << 20, maxItem: 1 << 20, conns: 1024}
	for _, g := range all {
		if err := m.take(g); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// take takes one option.
func (m *memcachedLine) take(g given) (err error) {
	number := func(what string, least int) (n int) {
		if n, err = strconv.Atoi(g.arg); err != nil || n < least {
			err = fmt.Errorf("-%c: want %s, at least %d, got %q", g.short, what, least, g.arg)
		}
		return n
	}
	switch g.short {
	case 'h':
		m.help = true
	case 'V':
		m.version = true
	case 'v':
		m.verbose++
	case 'l':
		m.listen = append(m.listen, g.arg)
	case 'p':
		m.port = g.arg
		number("a port", 0)
	case 's':
		m.socket = g.arg
	case 't':
		m.threads = number("a number of threads", 1)
	case 'm':
		m.memory = int64(number("megabytes", 1)) << 20
	case 'c':
		m.conns = number("a number of connections", 1)
	case 'I':
		m.maxItem, err = itemSize(g.arg)
	case 'F':
		m.noFlush = true
	case 'P':
		m.pidfile = g.arg
	case 'o':
		return m.extended(g.arg)
	case 'S', 'Z', 'Y', 'A', 'M', 'd', 'e', 'B', 'i':
		if g.short == 'B' && (g.arg == "ascii" || g.arg == "auto") {
			return nil
		}
		return fmt.Errorf("option \"-%c\" of memcached is not supported", g.short)
	}
	return err
}

// itemSize reads -I: bytes, or with k or m.
func itemSize(s string) (int64, error) {
	unit := int64(1)
	digits := s
	if n := len(s); n > 0 {
		switch s[n-1] {
		case 'k', 'K':
			unit, digits = 1<<10, s[:n-1]
		case 'm', 'M':
			unit, digits = 1<<20, s[:n-1]
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("-I: want a size such as 1m, got %q", s)
	case n < 0 || n > maxItemLimit/unit:
		return 0, fmt.Errorf("-I: item max size cannot be larger than %d MiB, got %q", maxItemLimit>>20, s)
	case n*unit < 1024:
		return 0, fmt.Errorf("-I: item max size cannot be less than 1024 bytes, got %q", s)
	}
	return n * unit, nil
}

// extended reads one -o: words and word=value, with commas between. Words that mean nothing here are let through.
func (m *memcachedLine) extended(list string) error {
	for word := range strings.SplitSeq(list, ",") {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case "proxy_config":
			if value == "" {
				return errors.New("-o proxy_config: want a file")
			}
			m.files = strings.Split(value, ":")
		case "proxy_arg":
			m.arg = value
		case "idle_timeout":
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 {
				return fmt.Errorf("-o idle_timeout: want seconds, got %q", value)
			}
			m.idle = time.Duration(n) * time.Second
		}
	}
	return nil
}

// addrs are what to listen on, in ParseListen's form.
func (m *memcachedLine) addrs() (out []string) {
	if m.socket != "" {
		return []string{"unix:" + m.socket}
	}
	for _, l := range m.listen {
		for one := range strings.FieldsFuncSeq(l, func(r rune) bool { return r == ',' || r == ';' }) {
			out = append(out, m.withPort(one))
		}
	}
	if len(out) == 0 {
		out = []string{net.JoinHostPort("127.0.0.1", m.port)}
	}
	return out
}

// withPort adds the port of -p to an address that has none.
func (m *memcachedLine) withPort(addr string) string {
	prefix := ""
	for {
		i := strings.Index(addr, ":")
		if i < 0 || !slices.ContainsFunc([]string{"tag_", "tag[", "proto["}, func(p string) bool { return strings.HasPrefix(addr, p) }) {
			break
		}
		prefix, addr = prefix+addr[:i+1], addr[i+1:]
	}
	if _, _, err := net.SplitHostPort(addr); err != nil && !strings.HasPrefix(addr, "unix:") {
		addr = net.JoinHostPort(strings.Trim(addr, "[]"), m.port)
	}
	return prefix + addr
}

func runMemcached(c *cobra.Command, args []string) error {
	m, err := readMemcachedLine(args)
	if err != nil {
		return usageError{c.CommandPath(), err.Error()}
	}
	switch {
	case m.help:
		return memcachedHelp(c)
	case m.version:
		fmt.Fprintln(c.OutOrStdout(), "tidepool", versionName())
		return nil
	}
	f := proxyFlags{
		listen: m.addrs(), workers: m.threads, localMemory: m.memory, maxItem: m.maxItem, maxConns: m.conns, idleTimeout: m.idle,
		drain: defaultDrain, insecure: true, maxBuffered: 512 << 20, allowFlush: !m.noFlush,
	}
	f.startArg, f.luaUnsafe = m.arg, true // memcached gives scripts the whole library
	f.admin.addr = noAdmin
	level := slog.LevelWarn
	if m.verbose > 0 {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	if f.way, err = f.leaves.way(log); err != nil {
		return err
	}
	sig := catchSignals()
	defer sig.release()
	p, err := f.start("tidepool memcached", m.files, log)
	if err != nil {
		return err
	}
	if m.pidfile != "" {
		if err := os.WriteFile(m.pidfile, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
			return errors.Join(fmt.Errorf("cannot write -P: %w", err), p.stop(cancelled()))
		}
		defer os.Remove(m.pidfile)
	}
	return sig.serve(life{
		log: log, drain: f.drain, reload: p.reload,
		stop: func(ctx context.Context) error { return p.stop(ctx) },
	})
}

// memcachedHelp names every option; scripts look there for what the program can do.
func memcachedHelp(c *cobra.Command) error {
	out := c.OutOrStdout()
	fmt.Fprintf(out, "tidepool %s, as memcached\n\n", versionName())
	for _, o := range memcachedOptions {
		arg := ""
		if o.arg {
			arg = " <arg>"
		}
		fmt.Fprintf(out, "-%c, --%s%s\n", o.short, o.long, arg)
	}
	fmt.Fprintln(out, "-o proxy_config=FILE[:FILE...]  routes in Lua\n-o proxy_arg=STRING  what scripts find in mcp.start_arg\n-o idle_timeout=SECONDS")
	return nil
}
