// Load errors with their place: "file:line: message".

package engine

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/vm"
)

var (
	placed = regexp.MustCompile(`^[^\s\[][^:\n]*:\d+: `)
	frame  = regexp.MustCompile(`(?m)^\s*([^\s\[][^:\n]*:\d+):`)
)

// located puts the innermost place in a user's file before the message of a script error that has none: errors of the proxy's own
// functions come without one, as in memcached's proxy, and errors in our own Lua name our file.
func located(err error) error {
	var script *vm.ScriptError
	if !errors.As(err, &script) {
		return err
	}
	msg := script.Message
	if placed.MatchString(msg) {
		return err
	}
	at := frame.FindStringSubmatch(script.Traceback)
	if at == nil {
		return err
	}
	c := *script
	c.Message = strings.TrimSpace(at[1]) + ": " + msg
	return &c
}

// inFile puts the last file before an error that has no place: it is about all of the configuration.
func inFile(chunks []chunk, err error) error {
	if placed.MatchString(err.Error()) {
		return err
	}
	return fmt.Errorf("%s: %w", chunks[len(chunks)-1].info.Path, err)
}
