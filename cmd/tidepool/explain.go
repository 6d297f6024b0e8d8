// tidepool explain.

package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/engine"
)

func newExplainCommand() *cobra.Command {
	var f scriptFlags
	var tag string
	c := &cobra.Command{
		Use:   "explain CONFIG... COMMAND KEY",
		Short: "Say which pool and backend a key goes to",
		Long: `Load configuration files as a proxy would, without listening or connecting to anything, and run one request through the
routes. Every backend is taken to be up and empty: it answers a miss, or that it has stored what was sent. Each request that a
route sends to a pool is told with the key's hash and its backend, and so is the client's answer.`,
		Example: `  tidepool explain routes.lua get user:17
  tidepool explain routes.lua set /foo/a --tag b`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 3 {
				return usageError{c.CommandPath(), "want a configuration file, a command and a key"}
			}
			return nil
		},
		ValidArgsFunction: completeLua,
	}
	f.add(c.Flags())
	c.Flags().StringVar(&tag, "tag", "", "the tag of the listener that the request comes from")
	c.RunE = func(c *cobra.Command, args []string) error {
		n := len(args)
		request, err := engine.OneRequest(args[n-2], args[n-1])
		if err != nil {
			return usageError{c.CommandPath(), err.Error()}
		}
		e, err := engine.Explain(engine.Options{
			Files:     args[:n-2],
			LuaUnsafe: f.luaUnsafe,
			LuaPath:   luaPath(),
			StartArg:  f.startArg,
			Local:     noStore{},
			Log:       slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		}, tag, []byte(request))
		if unknown := (*engine.UnknownTag)(nil); errors.As(err, &unknown) {
			return usageError{c.CommandPath(), err.Error()}
		}
		if err != nil {
			fmt.Fprintln(c.ErrOrStderr(), err)
			return reported{err}
		}
		return printExplanation(c.OutOrStdout(), request, e)
	}
	return c
}

func printExplanation(w io.Writer, request string, e *engine.Explanation) error {
	var b strings.Builder
	line, _, _ := strings.Cut(request, "\r\n")
	fmt.Fprintf(&b, "request  %s\n", line)
	switch {
	case e.Route == "":
		b.WriteString("route    none is attached: the proxy's own store answers\n")
	case e.Native:
		fmt.Fprintf(&b, "route    %s, chosen by a router\n", e.Route)
	default:
		fmt.Fprintf(&b, "route    %s\n", e.Route)
	}
	for _, s := range e.Sent {
		fmt.Fprintf(&b, "sent to  pool %s: %q\n", s.Pool, s.Line)
		at := s.Place
		fmt.Fprintf(&b, "         key %q", s.Key)
		if string(at.Hashed) != s.Key {
			fmt.Fprintf(&b, ", of which %q is hashed", at.Hashed)
		}
		if !at.ByKey {
			fmt.Fprintf(&b, ", hash %d", at.Hash)
		}
		if at.Index < 0 {
			b.WriteString(", and the pool has no backend\n")
			continue
		}
		st := at.Member.Backend.Status()
		fmt.Fprintf(&b, "\n         backend %d of %d: %s", at.Index+1, s.Of, st.Name)
		if st.Addr != st.Name {
			fmt.Fprintf(&b, " (%s)", st.Addr)
		}
		b.WriteString("\n")
	}
	if e.Route != "" {
		fmt.Fprintf(&b, "answer   %q\n", e.Answer)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
