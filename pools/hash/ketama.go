// Ketama as libmemcached's clients and twemproxy have it, and modula and random beside it.

package hash

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Points of a server on the ring: of weight 1 among equals, and in libmemcached's unweighted form.
const (
	ketamaPoints     = 160
	consistentPoints = 100
)

// checkWeights wants whole numbers of at least 1, as both systems do; 0 stands for 1.
func checkWeights(dist string, nodes []Node) (weights []uint32, total uint64, err error) {
	weights = make([]uint32, len(nodes))
	for i, n := range nodes {
		w := n.Weight
		if w == 0 {
			w = 1
		}
		if w < 1 || w != math.Trunc(w) || w > math.MaxInt32 {
			return nil, 0, fmt.Errorf("%s: backend %q has weight %v, want a whole number from 1 on", dist, n.Name, n.Weight)
		}
		weights[i] = uint32(w)
		total += uint64(weights[i])
	}
	return weights, total, nil
}

// NewKetama is twemproxy's ketama and libmemcached's ketama_weighted. A node is named "host", or "host:port" if its port is not
// 11211, or as the configuration names it. Each gets 160 points in proportion to its weight: four from each MD5 of NAME-0,
// NAME-1 and on. The proportion is reckoned in single precision and cut to whole digests, as both do it, which can cost a server of
// equal weight one digest.
func NewKetama(nodes []Node) (*Ring, error) {
	weights, total, err := checkWeights("ketama", nodes)
	if err != nil {
		return nil, err
	}
	if len(nodes) > maxPoints/ketamaPoints {
		return nil, fmt.Errorf("ketama: %d backends make more than %d points", len(nodes), maxPoints)
	}
	var ps []point
	for i, n := range nodes {
		share := float32(weights[i]) / float32(total)
		digests := float32(share * ketamaPoints)
		digests = float32(digests / 4)
		digests = float32(digests * float32(len(nodes)))
		digests = float32(digests + 1e-10)
		ps = appendMD5(ps, n.Name, int(digests), int32(i))
	}
	return newRing(ps), nil
}

// NewConsistent is libmemcached's consistent distribution without weights (MEMCACHED_DISTRIBUTION_CONSISTENT and
// CONSISTENT_KETAMA): 100 points a server, each the hash of NAME-0, NAME-1 and on by the function that hashes keys too.
func NewConsistent(nodes []Node, f Func) (*Ring, error) {
	if len(nodes) > maxPoints/consistentPoints {
		return nil, fmt.Errorf("consistent: %d backends make more than %d points", len(nodes), maxPoints)
	}
	var ps []point
	for i, n := range nodes {
		if n.Weight != 0 && n.Weight != 1 {
			return nil, fmt.Errorf("consistent: backend %q has weight %v: this distribution has no weights, ketama has", n.Name, n.Weight)
		}
		for k := range consistentPoints {
			ps = append(ps, point{uint32(f(fmt.Appendf(nil, "%s-%d", n.Name, k), 0)), int32(i)})
		}
	}
	return newRing(ps), nil
}

// Modula is the remainder of the hash by the number of servers, one counted as often as its weight says: libmemcached's default and
// twemproxy's modula.
type Modula struct {
	n     uint64
	slots []int32 // nil: slot i is server i
}

// NewModula makes a Modula.
func NewModula(nodes []Node) (Modula, error) {
	weights, total, err := checkWeights("modula", nodes)
	if err != nil {
		return Modula{}, err
	}
	if total > maxPoints {
		return Modula{}, fmt.Errorf("modula: the weights add up to %d, more than %d", total, maxPoints)
	}
	d := Modula{n: total}
	if total == uint64(len(nodes)) {
		return d, nil
	}
	for i, w := range weights {
		for range w {
			d.slots = append(d.slots, int32(i))
		}
	}
	return d, nil
}

// Pick implements Dist.
func (d Modula) Pick(h uint64) int {
	if d.n == 0 {
		return -1
	}
	slot := int(h % d.n)
	if d.slots == nil {
		return slot
	}
	return int(d.slots[slot])
}

// Random is twemproxy's random distribution: any server for any key, whatever the weights.
type Random struct {
	N    int
	IntN func(n int) int // nil: math/rand/v2's, which any number may use at once
}

// Pick implements Dist.
func (d Random) Pick(uint64) int {
	switch {
	case d.N == 0:
		return -1
	case d.IntN != nil:
		return d.IntN(d.N)
	}
	return rand.IntN(d.N)
}
