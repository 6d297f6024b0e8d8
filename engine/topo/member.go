// What a member may say of itself, and how a snapshot is read.

package topo

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"time"
)

var (
	leafName = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	poolName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,63}$`)
)

// maxEpoch is above every epoch there is (frame.MaxEpoch, in the year 2527): leaves refuse what is above it as damaged.
const maxEpoch = 1 << 44

// ValidPool reports what is wrong with a pool's name: it is a part of etcd's keys and of DNS names.
func ValidPool(name string) error {
	if !poolName.MatchString(name) {
		return fmt.Errorf("pool name %q: want [A-Za-z0-9_.-]{1,63}", name)
	}
	return nil
}

// Validate reports what cannot be. What comes from a source is checked before it is believed.
func (m *Member) Validate() error {
	switch {
	case !leafName.MatchString(m.Name):
		return fmt.Errorf("leaf name %q: want [a-z0-9-]{1,63}", m.Name)
	case m.Addr == "":
		return fmt.Errorf("leaf %q has no address", m.Name)
	case math.IsNaN(m.Weight) || math.IsInf(m.Weight, 0) || m.Weight < 0:
		return fmt.Errorf("leaf %q: weight %v: want a number of 0 or more", m.Name, m.Weight)
	case m.Memory < 0:
		return fmt.Errorf("leaf %q: memory %d: want bytes", m.Name, m.Memory)
	}
	switch m.State {
	case "", Warming, Ready, Draining:
		return nil
	}
	return fmt.Errorf("leaf %q: state %q: want warming, ready or draining", m.Name, m.State)
}

// Validate reports what cannot be.
func (s *Snapshot) Validate() error {
	if err := ValidPool(s.Pool); err != nil {
		return err
	}
	for _, ms := range [][]Member{s.Members, s.Previous} {
		for i := range ms {
			if err := ms[i].Validate(); err != nil {
				return err
			}
			if i > 0 && ms[i-1].Name >= ms[i].Name {
				return fmt.Errorf("members %q and %q are not in the order of their names", ms[i-1].Name, ms[i].Name)
			}
		}
	}
	if s.Epoch > maxEpoch {
		return fmt.Errorf("epoch %d: want one near the time in Unix milliseconds", s.Epoch)
	}
	if !s.WarmUntil.IsZero() && len(s.Previous) == 0 {
		return errors.New("warming from no previous owners")
	}
	return nil
}

// Warms reports whether previous owners may be asked at now.
func (s *Snapshot) Warms(now time.Time) bool {
	return len(s.Previous) > 0 && now.Before(s.WarmUntil)
}
