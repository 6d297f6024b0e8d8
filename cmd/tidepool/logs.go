// Where logs go and how they look.

package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/pflag"
)

// logFlags are the flags of every command that keeps running.
type logFlags struct{ format, level string }

func (f *logFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.format, "log-format", "text", "how log lines look: text or json")
	fs.StringVar(&f.level, "log-level", "info", "the least that is logged: debug, info, warn or error")
}

// logger writes to w, which is standard error: standard output is for what a command was asked for.
func (f *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	switch f.level {
	case "debug", "info", "warn", "error":
		_ = level.UnmarshalText([]byte(f.level))
	default:
		return nil, fmt.Errorf("invalid argument %q for \"--log-level\" flag: want debug, info, warn or error", f.level)
	}
	o := &slog.HandlerOptions{Level: level}
	switch f.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, fmt.Errorf("invalid argument %q for \"--log-format\" flag: want text or json", f.format)
}
