// Command tidepool is the one binary: the proxy, the leaf, both together for a first try, and the tools around them.
//
// A file holds one command. What several share is beside them: size.go (sizes in bytes), logs.go, signals.go (reload and
// stop), proxyflags.go (the flags of whatever runs a proxy), adminflags.go. A command's function reads flags, wires
// packages and prints; it decides nothing about requests.
//
// Exit codes: 0 after what was asked for, or a stop in time; 1 when it could not be done; 2 for a command line that
// cannot be read; diff has its own, as diff(1). An error is one line on standard error, and begins "tidepool: cannot".
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run executes one command line and gives the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(usageError)):
		fmt.Fprintf(stderr, "tidepool: %s\n", err)
		return 2
	case errors.As(err, new(reported)):
		return 1
	}
	if code := exitCode(0); errors.As(err, &code) {
		return int(code)
	}
	fmt.Fprintf(stderr, "tidepool: %s\n", oneLine(err.Error()))
	return 1
}

// usageError is a command line that cannot be read: about is the command whose help says more.
type usageError struct{ about, problem string }

func (e usageError) Error() string {
	return fmt.Sprintf("cannot read the command line: %s (see '%s --help')", oneLine(e.problem), e.about)
}

// reported is a failure that the command has told of itself.
type reported struct{ error }

// oneLine keeps errors that others worded with line breaks on one line.
func oneLine(s string) string { return strings.Join(strings.FieldsFunc(s, isLineEnd), "; ") }

func isLineEnd(r rune) bool { return r == '\n' || r == '\r' }
