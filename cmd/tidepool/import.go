// tidepool import.

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/cmd/tidepool/importer"
)

func newImportCommand() *cobra.Command {
	var from string
	var o importer.Options
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Turn the configuration of nutcracker or mcrouter into a Lua file",
		Long: `Read nutcracker.yml (twemproxy) or mcrouter's JSON and write a Lua file that sends keys to the same servers. What has
no equivalent becomes a comment and, where an answer depends on it, a route that answers an error which names it. A mistake in
FILE is told as file:line: message.`,
		Example: `  tidepool import nutcracker.yml -o routes.lua
  tidepool import mcrouter.json --route-prefix /east/a/ >routes.lua
  tidepool check routes.lua`,
		Args: files(1, 1),
	}
	c.Flags().StringVarP(&o.Out, "output", "o", "", "the file to write, which must not be there yet (default: standard output)")
	c.Flags().StringVar(&from, "from", "", "what FILE is: nutcracker or mcrouter (default: by its ending, .yml, .yaml or .json)")
	c.Flags().StringVar(&o.RoutePrefix, "route-prefix", "", "mcrouter's flag of this name: the route of keys without a routing prefix")
	c.RunE = func(c *cobra.Command, args []string) error {
		o.File = args[0]
		if from == "" {
			switch filepath.Ext(o.File) {
			case ".yml", ".yaml":
				from = "nutcracker"
			case ".json":
				from = "mcrouter"
			default:
				return usageError{c.CommandPath(), fmt.Sprintf("%q ends neither in .yml nor in .json: say --from nutcracker or --from mcrouter", o.File)}
			}
		}
		read := map[string]func([]byte, importer.Options) ([]byte, error){"nutcracker": importer.Nutcracker, "mcrouter": importer.MCRouter}[from]
		if read == nil {
			return usageError{c.CommandPath(), fmt.Sprintf("--from: want nutcracker or mcrouter, got %q", from)}
		}
		text, err := os.ReadFile(o.File)
		if err != nil {
			return fmt.Errorf("cannot read configuration: %w", err)
		}
		made, err := read(text, o)
		if errors.As(err, new(*importer.Error)) {
			// As it is, without "tidepool:" before it: editors find the place by the line's beginning.
			fmt.Fprintln(c.ErrOrStderr(), err)
			return reported{err}
		}
		if err != nil {
			return err
		}
		if o.Out == "" {
			_, err = c.OutOrStdout().Write(made)
			return err
		}
		return writeNew(o.Out, made)
	}
	return c
}

// writeNew writes a file that is not there yet.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("cannot write %s: it is there already", path)
	}
	if err != nil {
		return fmt.Errorf("cannot write configuration: %w", err)
	}
	_, err = f.Write(text)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("cannot write configuration: %w", err)
	}
	return nil
}
