// A Set: the sources of one proxy, each pool from its own.

package topo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// Ref names a pool and where its membership comes from, for the methods of a Set: from is "" (the Set's first source), "dns://host:port",
// "srv://name" or "file:path"; see ParseFrom.
func Ref(from, pool string) string {
	if from == "" {
		return pool
	}
	return from + "#" + pool
}

// cutRef is the other way round.
func cutRef(ref string) (from, pool string) {
	if i := strings.LastIndexByte(ref, '#'); i >= 0 {
		return ref[:i], ref[i+1:]
	}
	return "", ref
}

// ParseFrom says what is wrong with the place that a pool's membership is to come from.
func ParseFrom(from string) error {
	if path, ok := strings.CutPrefix(from, "file:"); ok {
		if path == "" {
			return fmt.Errorf("cannot discover from %q: want file:PATH", from)
		}
		return nil
	}
	_, err := parseDNS(from)
	return err
}

// SetOptions are a Set's.
type SetOptions struct {
	First    Source        // of pools without a place of their own: etcd, or a file; nil: there is none. The Set closes it.
	Probe    Probe         // whether a member that DNS does not name any more answers; nil: it is believed to be gone
	Resolver Resolver      // nil: the system's
	Interval time.Duration // between two questions to DNS, give or take a fifth; 0: 5 s
	Poll     time.Duration // how often files are looked at; 0: 200 ms
	Log      *slog.Logger  // nil: nothing is logged
}

// Set is a Source that picks one by the scheme of a Ref.
type Set struct {
	o   SetOptions
	dns *DNS

	mu    sync.Mutex // guards files
	files map[string]*File
}

var _ Informed = (*Set)(nil)

// NewSet makes a Set. It connects to nothing before it is asked.
func NewSet(o SetOptions) *Set {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Set{
		o:     o,
		dns:   NewDNS(DNSOptions{Resolver: o.Resolver, Interval: o.Interval, Probe: o.Probe, Log: o.Log}),
		files: map[string]*File{},
	}
}

// ErrNoSource: a pool without a place of its own, where there is neither etcd nor a topology file.
var ErrNoSource = errors.New("there is neither etcd nor a topology file to ask")

// Has says what is wrong with a ref, without asking anybody.
func (s *Set) Has(ref string) error {
	from, pool := cutRef(ref)
	if from != "" {
		if err := ParseFrom(from); err != nil {
			return err
		}
	} else if s.o.First == nil {
		return ErrNoSource
	}
	return ValidPool(pool)
}

// source gives the source of a ref, and what the source calls the pool.
func (s *Set) source(ref string) (Source, string, error) {
	from, pool := cutRef(ref)
	path, isFile := strings.CutPrefix(from, "file:")
	switch {
	case from == "" && s.o.First == nil:
		return nil, "", ErrNoSource
	case from == "":
		return s.o.First, pool, nil
	case !isFile:
		return s.dns, ref, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[path]
	if f == nil {
		f = NewFile(path, FileOptions{Poll: s.o.Poll, Log: s.o.Log})
		s.files[path] = f
	}
	return f, pool, nil
}

// Watch implements Source.
func (s *Set) Watch(ref string, f func(Snapshot)) (stop func()) {
	src, name, err := s.source(ref)
	if err != nil {
		s.o.Log.Error("a pool has no membership", "pool", ref, "err", err)
		return func() {}
	}
	return src.Watch(name, f)
}

// Refresh implements Source.
func (s *Set) Refresh(ctx context.Context, ref string) (Snapshot, error) {
	src, name, err := s.source(ref)
	if err != nil {
		return Snapshot{}, err
	}
	return src.Refresh(ctx, name)
}

// Applied implements Source.
func (s *Set) Applied(ref string, epoch uint64) {
	if src, name, err := s.source(ref); err == nil {
		src.Applied(name, epoch)
	}
}

// Settled implements Source.
func (s *Set) Settled(ref string, epoch uint64) bool {
	src, name, err := s.source(ref)
	return err == nil && src.Settled(name, epoch)
}

// Unreachable implements Informed.
func (s *Set) Unreachable(ref string, members map[string]string) {
	if src, name, err := s.source(ref); err == nil {
		if to, ok := src.(Informed); ok {
			to.Unreachable(name, members)
		}
	}
}

// Reread has files looked at now, and whatever else need not wait for its time. It does not wait for DNS.
func (s *Set) Reread() {
	for _, src := range s.all() {
		if r, ok := src.(interface{ Reread() }); ok {
			r.Reread()
		}
	}
}

// all are the sources that there are by now.
func (s *Set) all() (all []Source) {
	if s.o.First != nil {
		all = append(all, s.o.First)
	}
	if s.dns.used() {
		all = append(all, s.dns)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.files {
		all = append(all, f)
	}
	return all
}

// Statuses are those of the sources that there are by now.
func (s *Set) Statuses() (all []Status) {
	for _, src := range s.all() {
		all = append(all, src.Status())
	}
	return all
}

// Status implements Source: all in one.
func (s *Set) Status() (sum Status) {
	sum.Connected = true
	var names []string
	for _, st := range s.Statuses() {
		names = append(names, st.Source)
		sum.Connected = sum.Connected && st.Connected
		if st.LastError != "" {
			sum.LastError = st.LastError
		}
		if st.LastNews.After(sum.LastNews) {
			sum.LastNews = st.LastNews
		}
		sum.Changes += st.Changes
		sum.Refused += st.Refused
		sum.Rewatches += st.Rewatches
		sum.Leases += st.Leases
		sum.Conflicts += st.Conflicts
	}
	sum.Source = strings.Join(names, ", ")
	return sum
}

// Close implements Source.
func (s *Set) Close() error {
	var errs []error
	for _, src := range s.all() {
		errs = append(errs, src.Close())
	}
	return errors.Join(append(errs, s.dns.Close())...)
}

// Resolver asks DNS; *net.Resolver is one.
type Resolver interface {
	LookupHost(ctx context.Context, host string) (addrs []string, err error)
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, addrs []*net.SRV, err error)
}
