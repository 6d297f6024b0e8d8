// tidepool memcached: memcached's own command line, for who replaces `memcached -o proxy_config=...` and nothing else.

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/auth"
)

func newMemcachedCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "memcached [memcached's options]",
		Short: "Be started as memcached is: -p, -l, -t, -m, -o proxy_config=FILE ...",
		Long: `Take memcached's command line in place of memcached, with its proxy (-o proxy_config=FILE[:FILE]...,proxy_arg=...) or
without: then it is a cache of its own. -h lists the options; those that make no sense here are taken and do nothing, and what would be
missed is refused. docs/compat.md tells of both, and of what differs.

It behaves as memcached's proxy does where "tidepool proxy" is kinder: a command that the proxy does not know closes the connection.
SIGHUP loads the configuration and the file of -Y again, SIGTERM and SIGINT stop, SIGUSR1 lets requests under way end first. Without -l
and -s it listens on 127.0.0.1, not on every address.`,
		Example: `  tidepool memcached -p 11211 -t 4 -m 1024 -o proxy_config=/etc/memcached/proxy.lua
  tidepool memcached -l tag_a_:127.0.0.1:11211 -l tag_b_:127.0.0.1:11212 -o proxy_config=lib.lua:routes.lua,proxy_arg=z1`,
		DisableFlagParsing: true,
		RunE:               runMemcached,
	}
}

// memcachedHaste is how long requests under way may take to end after SIGTERM, which ends a memcached at once.
const memcachedHaste = 2 * time.Second

func runMemcached(c *cobra.Command, args []string) error {
	m, err := readMemcachedLine(args)
	if err != nil {
		return usageError{c.CommandPath(), err.Error()}
	}
	switch {
	case m.help:
		m.printHelp(c.OutOrStdout())
		return nil
	case m.license:
		fmt.Fprintln(c.OutOrStdout(), "tidepool is distributed under the license in the file LICENSE beside its source.")
		return nil
	case m.version:
		fmt.Fprintln(c.OutOrStdout(), "tidepool", versionName())
		return nil
	case m.daemon && !isDaemon():
		return detach(args, m.verbose > 0)
	}
	ready, err := daemonParent(m.daemon)
	if err != nil {
		return err
	}
	if err = m.serve(c, ready); err != nil {
		ready(err)
	}
	return err
}

// serve runs the stand-in until it is told to stop. It calls ready(nil) when clients may come.
func (m *memcachedLine) serve(c *cobra.Command, ready func(error)) error {
	level := slog.LevelWarn
	if m.verbose > 0 {
		level = slog.LevelInfo
	}
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	if m.protocol == "binary" {
		log.Warn("the binary protocol is not spoken here: clients that do are told so", "option", "-B binary")
	}
	sig := catchSignals(syscall.SIGUSR1)
	defer sig.release()
	f, err := m.flags(sig)
	if err != nil {
		return err
	}
	if f.way, err = f.leaves.way(log); err != nil {
		return err
	}
	p, err := f.start("tidepool memcached", m.files, log)
	if err != nil {
		return err
	}
	if err := m.settle(); err != nil {
		return errors.Join(err, p.stop(cancelled()))
	}
	if m.pidfile != "" {
		defer os.Remove(m.pidfile)
	}
	ready(nil)
	return sig.serve(life{
		log: log, drain: f.drain, haste: memcachedHaste, spares: true, served: p.Served,
		reload: func() {
			p.reload()
			if err := m.reloadUsers(); err != nil {
				log.Error("those who could log in before still can", "err", err)
			}
		},
		stop: func(ctx context.Context) error { return p.stop(ctx) },
	})
}

// settle does what is done between listening and serving: give up rights, say who it is.
func (m *memcachedLine) settle() error {
	if m.pidfile != "" { // as whoever started it: /run is root's
		if err := os.WriteFile(m.pidfile, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
			return fmt.Errorf("cannot write -P: %w", err)
		}
	}
	if m.user != "" && os.Geteuid() == 0 {
		if err := becomeUser(m.user); err != nil {
			return fmt.Errorf("cannot become the user of -u: %w", err)
		}
	}
	return nil
}

func (m *memcachedLine) reloadUsers() error {
	if m.users == nil {
		return nil
	}
	return m.users.Reload()
}

// flags are a proxy's that does what the line says.
func (m *memcachedLine) flags(sig *signals) (*proxyFlags, error) {
	f := &proxyFlags{
		listen: m.addrs(), workers: m.threads, localMemory: m.memory, maxItem: m.maxItem, maxConns: m.conns, idleTimeout: m.idle,
		drain: defaultDrain, insecure: true, maxBuffered: m.maxBuffered, allowFlush: !m.noFlush, watchBuffer: m.watchBuffer,
	}
	f.startArg, f.luaUnsafe = m.arg, true // memcached gives scripts the whole library
	f.admin.addr = noAdmin
	f.store.NoEvict, f.store.NoCAS = m.noEvict, m.noCAS
	if m.memory <= 128<<20 {
		f.store.Segment = 32 << 10 // evictions follow writes as closely as a memcached's, for who watches them
	}
	f.commands.NoFlush, f.commands.Threads, f.commands.MaxConns = m.noFlush, m.threads, m.conns
	f.commands.Delim, f.commands.Detail = m.delim, m.delim != 0
	f.commands.Settings = m.settings()
	var slots engine.SlotRule
	if m.testCommands {
		var moved atomic.Int64
		f.store.Now = func() int64 { return time.Now().UnixMilli() + moved.Load() }
		slots = engine.SlotRule{Returns: 100, Drop: 10, Wait: -1} // as in memcached's build for its tests
		f.commands.MoveTime = func(seconds int64) { moved.Add(seconds * 1000) }
	}
	if m.authFile != "" {
		var err error
		if m.users, err = auth.Open(m.authFile); err != nil {
			return nil, fmt.Errorf("cannot read -Y: %w", err)
		}
		f.commands.Auth = m.users.Counts
	}
	standIn := &engine.Memcached{NoWatch: m.noWatch}
	if m.shutdown {
		standIn.Shutdown = sig.shutdown
	}
	f.standIn = func(o *engine.Options) {
		o.Memcached, o.Auth, o.Slots = standIn, m.users, slots
		o.MaxBatch, o.Backlog, o.UnixMode = m.reqsPerEvent, m.backlog, m.unixMask
	}
	return f, nil
}

// shutdown is the command of that name: it does what the signals do.
func (s *signals) shutdown(graceful bool) {
	sig := os.Signal(syscall.SIGINT)
	if graceful {
		sig = syscall.SIGUSR1
	}
	select {
	case s.term <- sig:
	default: // it stops already
	}
}

// settings are the lines of stats settings that are known here alone.
func (m *memcachedLine) settings() map[string]string {
	protocol := m.protocol
	if protocol == "auto" || protocol == "" {
		protocol = "auto-negotiate"
	}
	return map[string]string{
		"tcpport":             m.tcpPort(),
		"udpport":             "0",
		"inter":               m.interfaces(),
		"domain_socket":       orNull(m.socket),
		"umask":               strconv.FormatUint(uint64(m.unixMask), 8),
		"evictions":           onOff(!m.noEvict),
		"shutdown_command":    yesNo(m.shutdown),
		"reqs_per_event":      strconv.Itoa(m.reqsPerEvent),
		"cas_enabled":         yesNo(!m.noCAS),
		"tcp_backlog":         strconv.Itoa(m.backlog),
		"binding_protocol":    protocol,
		"auth_enabled_sasl":   "no",
		"auth_enabled_ascii":  orNo(m.authFile),
		"idle_timeout":        strconv.Itoa(int(m.idle / time.Second)),
		"watcher_logbuf_size": strconv.Itoa(m.watchBuffer),
	}
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func orNull(s string) string {
	if s == "" {
		return "NULL"
	}
	return s
}

func orNo(s string) string {
	if s == "" {
		return "no"
	}
	return s
}
