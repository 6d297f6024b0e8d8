// A Set: each pool from its own source.

package topo

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSet(t *testing.T) {
	server := startDNS(t)
	server.host("cache.test.", "10.0.0.1")
	dir := t.TempDir()
	first, other := filepath.Join(dir, "first.json"), filepath.Join(dir, "other.json")
	put(t, first, "a")
	put(t, other, "b")
	s := NewSet(SetOptions{First: NewFile(first, FileOptions{Poll: time.Hour}), Resolver: server.resolver(), Interval: time.Hour, Poll: time.Hour})
	defer s.Close()
	if n := len(s.Statuses()); n != 1 {
		t.Errorf("%d sources before anybody asks for more than the first", n)
	}
	told := make(chan string, 10)
	for _, c := range [][2]string{{"", "a"}, {"file:" + other, "b"}, {"dns://cache.test:11211", "10-0-0-1"}} {
		ref := Ref(c[0], "users")
		check(t, s.Has(ref), "")
		defer s.Watch(ref, func(s Snapshot) { told <- names(s.Members) })()
		if got := <-told; got != c[1] {
			t.Errorf("%s: %q, want %q", ref, got, c[1])
		}
		if snap, err := s.Refresh(t.Context(), ref); err != nil || names(snap.Members) != c[1] {
			t.Errorf("refresh of %s: %+v %v", ref, snap, err)
		}
		s.Applied(ref, 1)
		if s.Settled(ref, 1) {
			t.Errorf("%s: nobody can know that it is settled", ref)
		}
	}
	if st := s.Status(); !st.Connected || st.Changes != 3 || st.Source != "file "+first+", dns, file "+other {
		t.Errorf("status %+v", st)
	}
	put(t, first, "a c")
	put(t, other, "b c")
	s.Reread()
	if one, two := <-told, <-told; one+"|"+two != "a c|b c" {
		t.Errorf("told %q, %q", one, two)
	}
	putText(t, other, "{")
	s.Reread()
	if st := s.Status(); st.Connected || !strings.Contains(st.LastError, "other.json:1:") {
		t.Errorf("status %+v", st)
	}
}

func TestSetWithoutAFirstSource(t *testing.T) {
	s := NewSet(SetOptions{})
	defer s.Close()
	if err := s.Has("users"); !errors.Is(err, ErrNoSource) {
		t.Error(err)
	}
	check(t, s.Has("dns://x#users"), "want dns://host:port")
	check(t, s.Has("dns://x:1#us/ers"), `pool name "us/ers"`)
	s.Watch("users", func(Snapshot) { t.Error("told of nothing") })()
	if _, err := s.Refresh(t.Context(), "users"); !errors.Is(err, ErrNoSource) {
		t.Error(err)
	}
}
