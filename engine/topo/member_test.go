// What is believed and what is not.

package topo

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestMemberValidate(t *testing.T) {
	ok := Member{Name: "leaf-1", Addr: "nats://127.0.0.1:4301/leaf-1"}
	for _, c := range []struct {
		change func(*Member)
		want   string // in the error; "": none
	}{
		{func(m *Member) {}, ""},
		{func(m *Member) { m.State, m.Weight, m.Memory = Draining, 2.5, 1<<30 }, ""},
		{func(m *Member) { m.Name = "Leaf_1" }, `leaf name "Leaf_1"`},
		{func(m *Member) { m.Name = "" }, `leaf name ""`},
		{func(m *Member) { m.Addr = "" }, "has no address"},
		{func(m *Member) { m.Weight = -1 }, "weight -1"},
		{func(m *Member) { m.Weight = math.NaN() }, "weight NaN"},
		{func(m *Member) { m.Weight = math.Inf(1) }, "weight +Inf"},
		{func(m *Member) { m.Memory = -1 }, "memory -1"},
		{func(m *Member) { m.State = "gone" }, `state "gone"`},
	} {
		m := ok
		c.change(&m)
		check(t, m.Validate(), c.want)
	}
}

func TestSnapshotValidate(t *testing.T) {
	leaf := func(name string) Member { return Member{Name: name, Addr: "nats://h:1/" + name} }
	for _, c := range []struct {
		s    Snapshot
		want string
	}{
		{Snapshot{Pool: "users"}, ""},
		{Snapshot{Pool: "a/b"}, `pool name "a/b"`},
		{Snapshot{Pool: "users", Members: []Member{leaf("a"), leaf("b")}}, ""},
		{Snapshot{Pool: "users", Members: []Member{leaf("b"), leaf("a")}}, "not in the order"},
		{Snapshot{Pool: "users", Members: []Member{leaf("a"), leaf("a")}}, "not in the order"},
		{Snapshot{Pool: "users", Previous: []Member{{Name: "a"}}}, "has no address"},
		{Snapshot{Pool: "users", Epoch: uint64(time.Now().UnixMilli())}, ""},
		{Snapshot{Pool: "users", Epoch: 1 << 62}, "epoch 4611686018427387904"},
		{Snapshot{Pool: "users", WarmUntil: time.Unix(1, 0)}, "no previous owners"},
	} {
		check(t, c.s.Validate(), c.want)
	}
}

func check(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestSnapshotWarms(t *testing.T) {
	s := Snapshot{Previous: []Member{{Name: "a"}}, WarmUntil: time.Unix(10, 0)}
	if !s.Warms(time.Unix(9, 0)) || s.Warms(time.Unix(10, 0)) {
		t.Error("a snapshot warms until WarmUntil, and no longer")
	}
	if s.Previous = nil; s.Warms(time.Unix(9, 0)) {
		t.Error("warms without previous owners")
	}
}
