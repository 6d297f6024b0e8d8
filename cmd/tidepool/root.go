// The root command, and how a command line that cannot be read is told.

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "tidepool",
		Short: "A programmable cache proxy: memcached clients, Lua routes, NATS leaves",
		Long: `Tidepool is a programmable cache proxy. Applications speak the memcached protocol to it; Lua routes decide what
happens to each command; behind the routes are pools of cache leaves, or of memcached servers.`,
		Example: `  tidepool dev                              a proxy over three leaves in one process, to try things
  tidepool leaf --name leaf-1 --listen 127.0.0.1:4301
  tidepool proxy routes.lua                 a proxy on 127.0.0.1:11211`,
		Args:          noArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.Version = versionName()
	root.SetVersionTemplate(versionLine())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{c.CommandPath(), err.Error()}
	})
	root.AddCommand(
		newDevCommand(),
		newProxyCommand(),
		newLeafCommand(),
		newConfigCommand(),
		newStatusCommand(),
		newCheckCommand(),
		newExplainCommand(),
		newDiffCommand(),
		newTestCommand(),
		newImportCommand(),
		newMemcachedCommand(),
		newBenchCommand(),
		newVersionCommand(),
	)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			wantShell(c)
		}
	}
	return root
}

// wantShell makes completion, whose subcommands are the shells that there are, refuse others: cobra prints its help, as if all were well.
func wantShell(c *cobra.Command) {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		var shells []string
		for _, s := range c.Commands() {
			shells = append(shells, s.Name())
		}
		return usageError{c.CommandPath(), fmt.Sprintf("there is no completion for %q: there is for %s", args[0], strings.Join(shells, ", "))}
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
}

// noArgs is for commands that take flags only, and for the root: whoever mistypes a command is told what is near.
func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if c.HasParent() {
		return usageError{c.CommandPath(), fmt.Sprintf("unexpected argument %q", args[0])}
	}
	problem := fmt.Sprintf("unknown command %q", args[0])
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		problem += ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return usageError{c.CommandPath(), problem}
}

// files wants at least min and at most max configuration files; max 0 is any number.
func files(minimum, maximum int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < minimum:
			return usageError{c.CommandPath(), "want a configuration file"}
		case maximum > 0 && len(args) > maximum:
			return usageError{c.CommandPath(), fmt.Sprintf("unexpected argument %q", args[maximum])}
		}
		return nil
	}
}

// completeLua offers configuration files to the shell.
func completeLua(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"lua"}, cobra.ShellCompDirectiveFilterFileExt
}
