// The flags of the admin address, and what is shown there.

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/tidepool-proxy/tidepool/engine/admin"
)

// noAdmin is the address that means none.
const noAdmin = "none"

// adminFlags say where admin is served and to whom.
type adminFlags struct{ addr, token string }

func (f *adminFlags) add(fs *pflag.FlagSet, addr string) {
	fs.StringVar(&f.addr, "admin", addr, "`address` of metrics, health and reload over HTTP: host:port, unix:/path or none")
	fs.StringVar(&f.token, "admin-token", "", "what lets changes in from outside this machine, as a bearer `token`; @FILE reads it from a file")
}

// start serves the process on the admin address; nil if there is none.
func (f *adminFlags) start(title string, p admin.Process, insecure bool, c []prometheus.Collector, log *slog.Logger) (*admin.Server, error) {
	if f.addr == noAdmin || f.addr == "" {
		return nil, nil
	}
	token, err := readToken(f.token)
	if err != nil {
		return nil, err
	}
	return admin.Start(admin.Options{
		Addr:       f.addr,
		Process:    p,
		Title:      title,
		Token:      token,
		Insecure:   insecure,
		Collectors: c,
		Log:        log,
	})
}

// readToken takes a token as it is, or from a file, so that it need not show in a list of processes.
func readToken(s string) (string, error) {
	path, ok := strings.CutPrefix(s, "@")
	if !ok {
		return s, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("cannot read the admin token: %w", err)
	}
	token := strings.TrimSpace(string(b))
	if token == "" {
		return "", fmt.Errorf("cannot read the admin token: %q is empty", path)
	}
	return token, nil
}

// lastWords is how long requests for admin pages may still take when all else has stopped.
const lastWords = time.Second

// stopAdmin is the last thing to stop, so that people can watch the rest.
func stopAdmin(ctx context.Context, s *admin.Server) error {
	if s == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	return s.Shutdown(ctx)
}
