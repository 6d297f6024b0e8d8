// Weighted rendezvous: consistent hashing by name.

package hash

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/zeebo/xxh3"
)

// Node is one node of a Rendezvous. Weight 0 is 1; a node of weight 2 gets twice the keys.
type Node struct {
	Name   string
	Weight float64
}

// Rendezvous gives each key to the node that scores highest for it. A score depends on the key, the node's name and its weight
// alone, so that losing a node moves that node's keys only, adding one moves only the keys it wins, and neither the list's order nor its
// length matter.
//
// The score of a node for a key with hash h:
//
//	seed  = XXH3_64bits(name)
//	x     = XXH3_64bits_withSeed(h as 8 bytes little-endian, seed)
//	u     = ((x >> 12) + 0.5) / 2^52        in (0, 1)
//	score = weight / -ln(u)
//
// Equal scores, one chance in 2^52, go to the first in the list. With equal weights the largest x>>12 is the largest score, so no logarithm
// is taken. A lookup is one hash per node, a few ns each: good to some hundred nodes.
type Rendezvous struct {
	seeds  []uint64
	weight []float64 // nil if all are equal
}

// NewRendezvous makes a Rendezvous. Names must differ and weights be positive.
func NewRendezvous(nodes []Node) (*Rendezvous, error) {
	r := &Rendezvous{seeds: make([]uint64, len(nodes)), weight: make([]float64, len(nodes))}
	equal := true
	seen := make(map[string]bool, len(nodes))
	for i, n := range nodes {
		if seen[n.Name] {
			return nil, fmt.Errorf("rendezvous: two backends are named %q", n.Name)
		}
		seen[n.Name] = true
		w := n.Weight
		if w == 0 {
			w = 1
		}
		if !(w > 0) || math.IsInf(w, 0) {
			return nil, fmt.Errorf("rendezvous: backend %q has weight %v, want a positive number", n.Name, n.Weight)
		}
		r.weight[i] = w
		equal = equal && w == r.weight[0]
		r.seeds[i] = xxh3.HashString(n.Name)
	}
	if equal {
		r.weight = nil
	}
	return r, nil
}

// Pick implements Dist.
func (r *Rendezvous) Pick(h uint64) int {
	var key [8]byte
	binary.LittleEndian.PutUint64(key[:], h)
	best, bestScore := -1, 0.0
	for i, seed := range r.seeds {
		score := float64(xxh3.HashSeed(key[:], seed) >> 12) // exact: 52 bits
		if r.weight != nil {
			score = r.weight[i] / -math.Log((score+0.5)/(1<<52))
		}
		if best < 0 || score > bestScore {
			best, bestScore = i, score
		}
	}
	return best
}
