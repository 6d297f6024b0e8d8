// tidepool explain.

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/mc"
)

func newExplainCommand() *cobra.Command {
	var f scriptFlags
	var live liveFlags
	var tag, topology string
	var depth int
	var asJSON bool
	c := &cobra.Command{
		Use:   "explain CONFIG... COMMAND KEY...",
		Short: "Say what a request does: its route, the pools and backends it reaches, and what if they miss or fail",
		Long: `Load configuration files as a proxy would, without listening or connecting to anything, and run one request through the routes, once
for each way in which its backends may answer: with a hit, with a miss, not at all because they are down, and, where the route waits for a
limited time, not within that time. What a route sends is told with the key's hash and its backend; below it, what comes after each
answer, and in the end what the client gets.

A command and a key are enough; more is taken as the rest of the request's line. Values are made up.

With --live there is no file: a running proxy serves the request, once and really, and tells when each request to a backend was queued,
written and answered, what the route waited for, and whose answer the client got. Whoever may reload it may do that.`,
		Example: `  tidepool explain routes.lua get user:17
  tidepool explain routes.lua mg user:17 v t N30
  tidepool explain routes.lua set /foo/a --tag b
  tidepool explain --live 127.0.0.1:9411 get user:17`,
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case live.admin != "" && len(args) < 2:
				return usageError{c.CommandPath(), "want a command and a key"}
			case live.admin == "" && len(args) < 3:
				return usageError{c.CommandPath(), "want a configuration file, a command and a key"}
			}
			return nil
		},
		ValidArgsFunction: completeLua,
	}
	f.add(c.Flags())
	c.Flags().StringVar(&tag, "tag", "", "the tag of the listener that the request comes from")
	addTopologyFile(c.Flags(), &topology)
	c.Flags().IntVar(&depth, "depth", 6, "print what follows on so many answers in a row; 0: all")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().StringVar(&live.admin, "live", "", "the admin `address` of a running proxy that serves the request: host:port, a URL or unix:/path")
	c.Flags().StringVar(&live.token, "admin-token", "", "with --live: its `token`; @FILE reads it from a file")
	c.RunE = func(c *cobra.Command, args []string) error {
		if live.admin != "" {
			return live.run(c, args, tag, asJSON)
		}
		files, words := cutRequest(args)
		request, err := requestOf(words)
		if err != nil {
			return usageError{c.CommandPath(), err.Error()}
		}
		members, err := offlineTopology(topology)
		if err != nil {
			return err
		}
		if members != nil {
			defer members.Close()
		}
		e, err := engine.Explain(engine.Options{
			Topology:  members,
			FirstNews: 1,
			Files:     files,
			LuaUnsafe: f.luaUnsafe,
			LuaPath:   luaPath(),
			StartArg:  f.startArg,
			Log:       slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		}, tag, []byte(request))
		if unknown := (*engine.UnknownTag)(nil); errors.As(err, &unknown) {
			return usageError{c.CommandPath(), err.Error()}
		}
		if err != nil {
			fmt.Fprintln(c.ErrOrStderr(), err)
			return reported{err}
		}
		if asJSON {
			enc := json.NewEncoder(c.OutOrStdout())
			enc.SetIndent("", "  ")
			return enc.Encode(e)
		}
		p := explainPrinter{depth: depth}
		p.explanation(request, e)
		_, err = c.OutOrStdout().Write(p.b.Bytes())
		return err
	}
	return c
}

// cutRequest finds where the files end and the request begins: at the first word that is a command with a key.
func cutRequest(args []string) (files, words []string) {
	for i := 1; i < len(args); i++ {
		if cmd, ok := mc.CmdByName(args[i]); ok && cmd.HasKey() {
			return args[:i], args[i:]
		}
	}
	n := len(args)
	return args[:n-2], args[n-2:]
}

// requestOf makes a request of a command, a key, and perhaps the rest of its line.
func requestOf(words []string) (string, error) {
	if len(words) < 2 {
		return "", fmt.Errorf("%q has no key", strings.Join(words, " "))
	}
	if len(words) == 2 {
		return engine.OneRequest(words[0], words[1])
	}
	cmd, _ := mc.CmdByName(words[0])
	line := strings.Join(words, " ") + "\r\n"
	if strings.ContainsAny(strings.TrimSuffix(line, "\r\n"), "\r\n") {
		return "", fmt.Errorf("%q is not one line", strings.Join(words, " "))
	}
	if !cmd.HasValue() {
		return line, nil
	}
	at := 4
	if cmd == mc.CmdMS {
		at = 2
	}
	n := 0
	if len(words) > at {
		var err error
		if n, err = strconv.Atoi(words[at]); err != nil || n < 0 || n > 1<<20 {
			return "", fmt.Errorf("%q is no length of a value", words[at])
		}
	}
	return line + strings.Repeat("x", n) + "\r\n", nil
}
