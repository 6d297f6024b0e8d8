// Package topo tells which leaves a pool consists of, and what has changed. What it knows comes from a Source: etcd
// (package topo/etcd), DNS or a file (this package).
//
// Who calls it: package engine watches a Source for every discovered pool and swaps the pool's membership; cmd/tidepool makes the
// Source and, beside a leaf, registers it. All methods may be called concurrently.
//
// # The membership of a pool is one document
//
// What leaves say of themselves (Member) and what proxies go by (Snapshot) are two things. Leaves come and go one by one, each under its
// own lease; a Snapshot is a decision about all of them, with an epoch, that every proxy takes over whole. In etcd it is one key, replaced
// by compare-and-swap by whichever proxy first sees that it does not fit any more. So all proxies see the same memberships in the same
// order, no proxy has to be the one that decides, and the previous owners of keys, who may still be asked while the new ones warm up, are
// part of what was agreed.
package topo

import (
	"context"
	"errors"
	"time"
)

// State is how far a leaf is.
type State string

// The states of a leaf. Ready and warming leaves own keys; draining ones are previous owners until they are gone.
const (
	Warming  State = "warming"
	Ready    State = "ready"
	Draining State = "draining"
)

// Member is a leaf, or another server of keys, as it says of itself.
type Member struct {
	Name    string  `json:"name"`              // what is hashed: a restart at a new address moves no key
	Addr    string  `json:"addr"`              // as a configuration has it: nats://host:port/name, host:port
	Zone    string  `json:"zone,omitempty"`    // "": in none
	Weight  float64 `json:"weight,omitempty"`  // share of the keys; 0: 1
	Memory  int64   `json:"memory,omitempty"`  // bytes
	Version string  `json:"version,omitempty"` // of tidepool
	State   State   `json:"state,omitempty"`   // "": Ready
}

// Snapshot is the membership of a pool from one moment on. It is immutable.
type Snapshot struct {
	Pool     string   `json:"pool"`
	Epoch    uint64   `json:"epoch"`              // higher than that of every Snapshot before; 0: the source has none, and no leaf is fenced
	Members  []Member `json:"members"`            // who own keys, by name
	Previous []Member `json:"previous,omitempty"` // who owned them before Since; may be asked on a miss until WarmUntil. nil: nobody
	Replaces uint64   `json:"replaces,omitempty"` // the epoch before; who was given another one has missed some. 0: there was none
	Lost     []string `json:"lost,omitempty"`     // those of the owners before who have gone without draining: nothing of theirs is there to be asked for

	Since     time.Time `json:"since"`      // when it was decided
	WarmUntil time.Time `json:"warm_until"` // the zero time: there is no warming

	Stale bool `json:"-"` // from disk: the source has not confirmed it yet
}

// Source is where memberships come from.
type Source interface {
	// Watch calls f with the pool's membership as soon as it is known, and whenever it has changed: one call at a time, epochs rising.
	// f must not block for long. After stop has returned f is not called any more; f must not call stop.
	Watch(pool string, f func(Snapshot)) (stop func())

	// Refresh asks for the newest membership now: a leaf has refused an epoch as too old. Watchers are told before it returns.
	Refresh(ctx context.Context, pool string) (Snapshot, error)

	// Applied says that this proxy goes by epoch from now on; no request of it that went by an older one is still to be sent.
	Applied(pool string, epoch uint64)

	// Settled reports whether every proxy that is known goes by epoch or a newer one.
	Settled(pool string, epoch uint64) bool

	// Status tells how the source is.
	Status() Status

	Close() error
}

// Informed is a Source that wants to know whom this process does not reach.
type Informed interface {
	Source
	// Unreachable says which members of the pool this process has not reached for a while: their addresses by name, all of them each time. The map
	// is the Source's from then on.
	Unreachable(pool string, members map[string]string)
}

// Status is what is known of a Source at one moment, for stats, metrics and people.
type Status struct {
	Source    string    `json:"source"` // "etcd http://127.0.0.1:2379 /tidepool", "dns", "file topology.json"
	Connected bool      `json:"connected"`
	LastError string    `json:"last_error,omitempty"`
	LastNews  time.Time `json:"last_news"` // when it was last heard, with news or without

	Changes   uint64 `json:"changes"`   // memberships handed to watchers
	Refused   uint64 `json:"refused"`   // changes that were held back: empty, or too many lost at once
	Rewatches uint64 `json:"rewatches"` // watches begun again: compaction, a lost connection, a gap
	Leases    uint64 `json:"leases"`    // leases lost and taken anew
	Conflicts uint64 `json:"conflicts"` // compare-and-swaps that somebody else won
}

// ErrUnknownPool: the source has never heard of the pool.
var ErrUnknownPool = errors.New("no such pool in the topology")
