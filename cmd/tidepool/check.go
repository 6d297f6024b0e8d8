// tidepool check.

package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/mc"
)

func newCheckCommand() *cobra.Command {
	var f scriptFlags
	c := &cobra.Command{
		Use:   "check CONFIG...",
		Short: "Load configuration files as a proxy would, without opening a connection",
		Long: `Compile configuration files and run both of their stages as a proxy would, without listening or connecting to
anything. A mistake is told as file:line: message, and the exit code is 1. What a proxy would log meanwhile, such as that
an option is not known and ignored, goes to standard error.`,
		Example: `  tidepool check routes.lua
  tidepool check routes.lua && kill -HUP "$(pidof tidepool)"`,
		Args:              files(1, 0),
		ValidArgsFunction: completeLua,
	}
	f.add(c.Flags())
	c.RunE = func(c *cobra.Command, args []string) error {
		err := engine.Check(engine.Options{
			Files:     args,
			Workers:   1,
			LuaUnsafe: f.luaUnsafe,
			LuaPath:   luaPath(),
			StartArg:  f.startArg,
			Local:     noStore{},
			Log:       slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelInfo})),
		})
		if err != nil {
			// As it is, without "tidepool:" before it: editors find the place by the line's beginning.
			fmt.Fprintln(c.ErrOrStderr(), err)
			return reported{err}
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: ok\n", strings.Join(args, " "))
		return err
	}
	return c
}

// noStore is the local store where no request is ever served.
type noStore struct{}

func (noStore) Exec(_ *mc.Request, dst []byte) []byte {
	return append(dst, "SERVER_ERROR not serving\r\n"...)
}
