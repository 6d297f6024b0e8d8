// tidepool diff.

package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/topo"
)

// exitCode ends the process with a code of its own; what is to be said has been said.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// Exit codes of diff, as those of diff(1).
const (
	exitDiffers    exitCode = 1
	exitUnreadable exitCode = 2
)

type diffFlags struct {
	scriptFlags
	engine.DiffOptions
	topology, newTopology string
	keys                  string
	json                  bool
}

func newDiffCommand() *cobra.Command {
	var f diffFlags
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what another configuration would change: routes, pools, and which keys move",
		Long: `Load two configurations as a proxy would, without listening or connecting to anything, and compare them: what is attached to each
command of each tag, the pools, and for a sample of keys which backends a request for each goes to. A backend is known by its address, or a
leaf by its name, not by its place in a list. Of several files that are loaded in order, write a.lua,b.lua.

A function or a generator is the same if its code is, and everything that it was made with; in which line it stands does not matter.

Keys are those of --keys, or made up: as many with each prefix that a native router knows as without one. Where a route is a function, it
is run with every backend answering as if it had the key. The exit code is 0 if no route differs and no key moves, 1 if one does, and 2 if
something cannot be read.`,
		Example: `  tidepool diff routes.lua routes.new.lua
  tidepool diff old/pools.lua,old/routes.lua new/pools.lua,new/routes.lua --keys sample.txt
  tidepool diff routes.lua routes.new.lua --command set --json | jq .keys.moved`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{c.CommandPath(), fmt.Sprintf("want two configurations, got %d", len(args))}
			}
			return nil
		},
		ValidArgsFunction: completeLua,
	}
	fs := c.Flags()
	f.scriptFlags.add(fs)
	addTopologyFile(fs, &f.topology)
	fs.StringVar(&f.newTopology, "new-topology", "", "the same for NEW (default: as for OLD)")
	fs.StringVar(&f.keys, "keys", "", "`file` of keys, one a line; - is standard input")
	fs.IntVar(&f.Sample, "sample", 100_000, "how many keys are made up without --keys")
	fs.Uint64Var(&f.Seed, "seed", 0, "another seed makes up other keys")
	fs.StringVar(&f.Command, "command", "get", "whose requests are placed")
	fs.StringVar(&f.Tag, "tag", "", "the tag of the listener that they come from")
	fs.BoolVar(&f.json, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		if _, err := engine.OneRequest(f.Command, "key"); err != nil {
			return usageError{c.CommandPath(), fmt.Sprintf("invalid argument for \"--command\" flag: %v", err)}
		}
		if f.Sample < 1 {
			return usageError{c.CommandPath(), fmt.Sprintf("invalid argument \"%d\" for \"--sample\" flag: want 1 or more", f.Sample)}
		}
		d, err := f.run(c, args[0], args[1])
		if err != nil {
			fmt.Fprintln(c.ErrOrStderr(), err)
			return exitUnreadable
		}
		if f.json {
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			err = e.Encode(d)
		} else {
			err = printDifference(c.OutOrStdout(), d)
		}
		if err == nil && !d.None() {
			return exitDiffers
		}
		return err
	}
	return c
}

func (f *diffFlags) run(c *cobra.Command, before, after string) (*engine.Difference, error) {
	if f.keys != "" {
		var err error
		if f.Keys, err = readKeys(f.keys, c.InOrStdin()); err != nil {
			return nil, err
		}
	}
	log := slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	was, err := offlineTopology(f.topology)
	if err != nil {
		return nil, err
	}
	now, err := offlineTopology(cmp.Or(f.newTopology, f.topology))
	if err != nil {
		return nil, err
	}
	for _, t := range []topo.Source{was, now} {
		if t != nil {
			defer t.Close()
		}
	}
	options := func(files string, members topo.Source) engine.Options {
		return engine.Options{
			Topology:  members,
			FirstNews: 1,
			Files:     fileList(files),
			LuaUnsafe: f.luaUnsafe,
			LuaPath:   luaPath(),
			StartArg:  f.startArg,
			Log:       log,
		}
	}
	return engine.Diff(options(before, was), options(after, now), f.DiffOptions)
}

// fileList cuts a list of files at its commas, unless all of it is a file's name.
func fileList(s string) []string {
	if _, err := os.Stat(s); err == nil {
		return []string{s}
	}
	return strings.Split(s, ",")
}

// readKeys reads one key a line. Empty lines do not count.
func readKeys(path string, stdin io.Reader) (keys []string, err error) {
	in := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read keys: %w", err)
		}
		defer file.Close()
		in = file
	}
	s := bufio.NewScanner(in)
	for n := 1; s.Scan(); n++ {
		key := strings.TrimSuffix(s.Text(), "\r")
		if key == "" {
			continue
		}
		if !engine.ValidKey(key) {
			return nil, fmt.Errorf("cannot read keys: %s:%d: %.300q is no key", path, n, key)
		}
		keys = append(keys, key)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("cannot read keys: %s: %w", path, err)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("cannot read keys: there is none in %s", path)
	}
	return keys, nil
}
