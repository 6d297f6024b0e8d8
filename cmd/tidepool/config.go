// tidepool config: the configuration that proxies take from etcd.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/topo/etcd"
)

// configFlags are those of both subcommands.
type configFlags struct {
	etcdFlags
	key string
}

func newConfigCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Put and get the configuration that proxies take from etcd",
		Long: `Put and get the configuration of proxies that were started with etcd:///tidepool/config in the place of a file. It is one
key with plain text.`,
		Example: `  tidepool config put routes.lua --etcd 10.0.0.1:2379
  tidepool config get --etcd 10.0.0.1:2379`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newConfigPutCommand(), newConfigGetCommand())
	return c
}

func (f *configFlags) add(c *cobra.Command) {
	f.etcdFlags.add(c.Flags())
	c.Flags().StringVar(&f.key, "key", defaultConfigKey, "the configuration's `key`, under --etcd-prefix")
}

// open gives a source for one question or two.
func (f *configFlags) open(c *cobra.Command) (*etcd.Source, error) {
	if !f.given() {
		return nil, usageError{c.CommandPath(), "want --etcd"}
	}
	if p := f.problem(); p != "" {
		return nil, usageError{c.CommandPath(), p}
	}
	if !c.Flags().Changed("key") {
		f.key = "/" + strings.Trim(f.prefix, "/") + "/config"
	}
	part, err := f.configKey(f.key)
	if err != nil {
		return nil, usageError{c.CommandPath(), err.Error()}
	}
	o, err := f.options(slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	o.Config = part
	return etcd.New(o)
}

func newConfigPutCommand() *cobra.Command {
	var f configFlags
	var force bool
	var after int64
	var startArg string
	c := &cobra.Command{
		Use:   "put FILE",
		Short: "Check a configuration file and put it into etcd, where proxies load it from",
		Long: `Check a configuration file as proxies do that take theirs from etcd: it is one file, and may require nothing but the route library.
A mistake is told as file:line: message, the exit code is 1, and nothing is put. Otherwise it takes the place of the one that is there, unless that
has become another while this command ran, or is not of generation --after. The new generation is printed.`,
		Example: `  tidepool config put routes.lua --etcd 10.0.0.1:2379
  tidepool config put - --etcd 10.0.0.1:2379 --after 41 < routes.lua`,
		Args:              files(1, 1),
		ValidArgsFunction: completeLua,
	}
	f.add(c)
	c.Flags().BoolVar(&force, "force", false, "put it whatever is there, even if somebody else has put another meanwhile")
	c.Flags().Int64Var(&after, "after", 0, "the `generation` that it is to follow (default: the one that is there)")
	c.Flags().StringVar(&startArg, "start-arg", "", "what the check has scripts find in mcp.start_arg")
	c.MarkFlagsMutuallyExclusive("force", "after")
	c.RunE = func(c *cobra.Command, args []string) error {
		src, err := f.open(c)
		if err != nil {
			return err
		}
		defer src.Close()
		ctx := c.Context()
		was, err := src.Config(ctx) // before the file is read: what comes between is noticed
		if err != nil {
			return f.failed(err)
		}
		if c.Flags().Changed("after") && was.Generation != after {
			return fmt.Errorf("cannot put %q: etcd holds generation %d, not %d", args[0], was.Generation, after)
		}
		text, err := readConfig(c, args[0])
		if err != nil {
			return err
		}
		if err := checkSealed(c, args[0], text, startArg); err != nil {
			fmt.Fprintln(c.ErrOrStderr(), err) // as check tells it
			return reported{err}
		}
		now, err := putConfig(ctx, src, text, was.Revision, force)
		if err != nil {
			return fmt.Errorf("cannot put %q: %w", args[0], err)
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "generation %d, digest %s\n", now.Generation, now.Digest)
		return err
	}
	return c
}

func putConfig(ctx context.Context, src *etcd.Source, text []byte, revision int64, force bool) (etcd.Config, error) {
	if force {
		revision = etcd.AnyRevision
	}
	now, err := src.PutConfig(ctx, string(text), revision)
	if errors.Is(err, etcd.ErrConflict) {
		return now, fmt.Errorf("%w: look at it with 'tidepool config get', or want --force", err)
	}
	return now, err
}

// readConfig reads a file, or standard input.
func readConfig(c *cobra.Command, path string) (text []byte, err error) {
	if path == "-" {
		text, err = io.ReadAll(c.InOrStdin())
	} else {
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read configuration: %w", err)
	}
	return text, nil
}

// checkSealed loads a text as a proxy does that has it from etcd.
func checkSealed(c *cobra.Command, path string, text []byte, startArg string) error {
	return engine.Check(engine.Options{
		Files:    []string{path},
		Read:     func(string) ([]byte, error) { return text, nil },
		Sealed:   true,
		Workers:  1,
		StartArg: startArg,
		Local:    noStore{},
		Log:      slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelInfo})),
	})
}

func newConfigGetCommand() *cobra.Command {
	var f configFlags
	var asJSON bool
	c := &cobra.Command{
		Use:   "get",
		Short: "Print the configuration that etcd holds",
		Example: `  tidepool config get --etcd 10.0.0.1:2379 > routes.lua
  tidepool config get --etcd 10.0.0.1:2379 --json | jq .generation`,
		Args: noArgs,
	}
	f.add(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON: generation, revision, digest and text")
	c.RunE = func(c *cobra.Command, _ []string) error {
		src, err := f.open(c)
		if err != nil {
			return err
		}
		defer src.Close()
		conf, err := src.Config(c.Context())
		if err != nil {
			return f.failed(err)
		}
		if conf.Generation == 0 {
			return fmt.Errorf("cannot get the configuration: there is none in etcd at %s", f.key)
		}
		if asJSON {
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			e.SetEscapeHTML(false)
			return e.Encode(conf)
		}
		_, err = io.WriteString(c.OutOrStdout(), conf.Text)
		return err
	}
	return c
}
