// tidepool leaf flush, and flushing by way of admin.

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/admin"
	"github.com/tidepool-proxy/tidepool/pools/backend/leafnats"
)

// flushFlags are those of tidepool leaf flush.
type flushFlags struct {
	leaf   oneLeafFlags
	log    logFlags
	prefix string
	all    bool
}

func newLeafFlushCommand() *cobra.Command {
	var f flushFlags
	c := &cobra.Command{
		Use:   "flush --from ADDR --prefix PREFIX | --all",
		Short: "Make a leaf's items unreadable: those under a prefix, or all",
		Long: `Make the items of a leaf unreadable: those whose keys begin with a prefix, at once and without touching each, or all. When
the command ends with exit code 0 nobody reads them any more; what is written after it began stays.`,
		Example: `  tidepool leaf flush --from nats://127.0.0.1:4301 --prefix user:
  tidepool leaf flush --from nats://127.0.0.1:4301/leaf-2 --all`,
		Args: noArgs,
	}
	fs := c.Flags()
	f.leaf.add(fs)
	fs.StringVar(&f.prefix, "prefix", "", "what the keys begin with")
	fs.BoolVar(&f.all, "all", false, "every item")
	f.log.add(fs)
	c.RunE = func(c *cobra.Command, _ []string) error { return flushLeaf(c, &f) }
	return c
}

func flushLeaf(c *cobra.Command, f *flushFlags) error {
	bad := func(problem string) error { return usageError{c.CommandPath(), problem} }
	switch p := f.leaf.problem(); {
	case p != "":
		return bad(p)
	case f.all == (f.prefix != ""):
		return bad("want --prefix PREFIX or --all, one of them")
	case prefixProblem(f.prefix) != "":
		return bad(prefixProblem(f.prefix))
	}
	log, err := f.log.logger(c.ErrOrStderr())
	if err != nil {
		return bad(err.Error())
	}
	nc, name, err := f.leaf.dial(log)
	if err != nil {
		return fmt.Errorf("cannot flush: %w", err)
	}
	defer nc.Close()
	if err := leafnats.Flush(c.Context(), nc, name, []byte(f.prefix)); err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), flushed([]string{name}, []byte(f.prefix)))
	return err
}

// flushed is what is said of a flush.
func flushed(who []string, prefix []byte) string {
	what := "all items"
	if len(prefix) > 0 {
		what = fmt.Sprintf("prefix %q", prefix)
	}
	return fmt.Sprintf("flushed %s of %s", what, strings.Join(who, ", "))
}

// adminError is an error of a flush as admin knows it.
type adminError struct {
	error
	kind error
}

func (e adminError) Unwrap() []error { return []error{e.error, e.kind} }

// Flush implements admin.Flusher.
func (v *leafView) Flush(_ context.Context, f admin.Flush) (string, error) {
	bad := func(problem string) (string, error) {
		return "", adminError{errors.New("cannot flush: " + problem), admin.ErrBadRequest}
	}
	switch {
	case f.Pool != "":
		return bad("a leaf has no pools")
	case f.All == (len(f.Prefix) > 0):
		return bad("want prefix=PREFIX or all=1, one of them")
	case prefixProblem(string(f.Prefix)) != "":
		return bad(prefixProblem(string(f.Prefix)))
	}
	if err := v.Leaf.Flush(f.Prefix); err != nil {
		return "", fmt.Errorf("cannot flush leaf %q: %w", v.Name(), err)
	}
	return flushed([]string{v.Name()}, f.Prefix), nil
}

// Flush implements admin.Flusher.
func (i inspected) Flush(ctx context.Context, f admin.Flush) (string, error) {
	bad := func(problem string) (string, error) {
		return "", adminError{errors.New("cannot flush: " + problem), admin.ErrBadRequest}
	}
	switch {
	case f.Pool == "":
		return bad("want pool=NAME")
	case f.All && len(f.Prefix) > 0:
		return bad("want prefix=PREFIX or all=1, not both")
	case prefixProblem(string(f.Prefix)) != "":
		return bad(prefixProblem(string(f.Prefix)))
	}
	done, err := i.Proxy.Flush(ctx, f.Pool, f.Prefix)
	for _, k := range []struct{ is, kind error }{
		{engine.ErrFlushForbidden, admin.ErrForbidden}, {engine.ErrNoPool, admin.ErrNotFound}, {engine.ErrNoPrefixFlush, admin.ErrBadRequest},
	} {
		if errors.Is(err, k.is) {
			return "", adminError{err, k.kind}
		}
	}
	if err != nil {
		return "", err
	}
	return flushed(append([]string(nil), done...), f.Prefix), nil
}
