// What is not simply believed.

package topo

import (
	"context"
	"strings"
	"testing"
)

// members makes some of names; "name!" is draining.
func members(names string) (ms []Member) {
	for name := range strings.FieldsSeq(names) {
		m := Member{Name: strings.TrimSuffix(name, "!"), Addr: "nats://h:1"}
		if m.Name != name {
			m.State = Draining
		}
		ms = append(ms, m)
	}
	return ms
}

func names(ms []Member) string {
	var list []string
	for _, m := range ms {
		list = append(list, m.Name)
	}
	return strings.Join(list, " ")
}

func TestGuard(t *testing.T) {
	for _, c := range []struct {
		old, now, answer string
		want             string
		kept             int
	}{
		{"a b c", "a b", "a b c", "a b", 0}, // a third is not over a third
		{"a b c", "b", "a c", "a b c", 2},   // over a third, and they answer
		{"a b c", "b", "c", "b c", 1},       // those that answer stay
		{"a b c", "b", "", "b", 0},          // a crash
		{"a b c", "", "a b c", "a b c", 3},  // all
		{"a", "", "a", "a", 1},              //
		{"a b c d e f", "a b c d", "e f", "a b c d", 0},
		{"a b! c!", "a", "b c", "a", 0},           // they have said that they go
		{"a b c", "c d e", "a b", "a b c d e", 2}, // newcomers come all the same
		{"", "", "", "", 0},
	} {
		probe := func(_ context.Context, m Member) bool { return strings.Contains(c.answer, m.Name) }
		got, kept := Guard(t.Context(), probe, members(c.old), members(c.now))
		if names(got) != c.want || kept != c.kept {
			t.Errorf("from %q to %q, %q answer: %q, %d kept, want %q, %d", c.old, c.now, c.answer, names(got), kept, c.want, c.kept)
		}
	}
	if got, kept := Guard(t.Context(), nil, members("a b"), nil); len(got) != 0 || kept != 0 {
		t.Errorf("without a probe: %q, %d kept", names(got), kept)
	}
}
