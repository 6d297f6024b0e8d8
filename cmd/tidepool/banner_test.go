// What dev prints, and the example it runs.

package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/tidepool-proxy/tidepool/examples"
)

func TestTries(t *testing.T) {
	f := func(b banner, want ...string) {
		t.Helper()
		b.config, b.pid = "routes.lua", 42
		got := b.tries()
		if len(got) != 3 {
			t.Fatalf("%d things to try, want three", len(got))
		}
		for i, w := range want {
			if !strings.Contains(got[i].command, w) {
				t.Errorf("try %d: %q, want %q", i+1, got[i].command, w)
			}
		}
	}
	f(banner{clients: []string{"127.0.0.1:11211"}, admin: "127.0.0.1:9411"},
		`\r\n' | nc 127.0.0.1 11211`, "curl -X POST http://127.0.0.1:9411/reload", "curl http://127.0.0.1:9411/config")
	f(banner{clients: []string{"[::1]:11211"}}, "nc ::1 11211", "kill -HUP 42", "nc ::1 11211")
	f(banner{clients: []string{"tag_b_:127.0.0.1:11212"}}, "nc 127.0.0.1 11212")
	f(banner{clients: []string{"unix:/run/t.sock"}, admin: "unix:/run/a.sock"},
		"nc -U /run/t.sock", "curl -X POST --unix-socket /run/a.sock http://admin/reload", "curl --unix-socket /run/a.sock http://admin/config")
}

func TestWithLeaves(t *testing.T) {
	got := withLeaves(examples.Default, []string{"nats://127.0.0.1:5001", "nats://127.0.0.1:5002"})
	if n := strings.Count(got, "nats://"); n != 2 {
		t.Errorf("%d leaves, want 2:\n%s", n, got)
	}
	if !strings.Contains(got, "\"nats://127.0.0.1:5001\",\n        \"nats://127.0.0.1:5002\",\n") {
		t.Errorf("not the leaves that run:\n%s", got)
	}
	three := []string{"nats://127.0.0.1:4301", "nats://127.0.0.1:4302", "nats://127.0.0.1:4303"}
	if got := withLeaves(examples.Default, three); got != examples.Default {
		t.Errorf("the example's own leaves change it:\n%s", got)
	}
}

// TestEveryCommandHasAnExample also wants a line for the list of commands.
func TestEveryCommandHasAnExample(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Name() == "help" || c.Name() == "completion" {
			return // cobra's own
		}
		if c.Example == "" || c.Short == "" {
			t.Errorf("%s: no example or no short description", c.CommandPath())
		}
		for _, line := range strings.Split(c.Example, "\n") {
			if !strings.HasPrefix(line, "  tidepool ") {
				t.Errorf("%s: example line %q does not begin with two spaces and tidepool", c.CommandPath(), line)
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRootCommand())
}
