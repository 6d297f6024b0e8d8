// Distributions: the names of hashes and distributions, and how a pool's options become them.

package pools

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tidepool-proxy/tidepool/pools/hash"
)

// Dist names a distribution.
type Dist string

// The distributions. A script's mcp.dist_jump_hash and mcp.dist_ring_hash are the first two.
const (
	DistJump        Dist = "jump"         // by position in the list
	DistRing        Dist = "ring"         // by host:port
	DistRendezvous  Dist = "rendezvous"   // by name and weight; losing a member moves its keys only
	DistKetama      Dist = "ketama"       // twemproxy's ketama, libmemcached's ketama_weighted
	DistConsistent  Dist = "consistent"   // libmemcached's consistent (ketama without weights)
	DistModula      Dist = "modula"       // libmemcached's default, twemproxy's modula
	DistRandom      Dist = "random"       // twemproxy's: any member for any key
	DistCh3         Dist = "ch3"          // mcrouter's Ch3, its default
	DistCRC32       Dist = "crc32"        // mcrouter's Crc32
	DistWeightedCh3 Dist = "weighted_ch3" // mcrouter's WeightedCh3
)

// Hash names a key hash: one that hash.ByName knows.
type Hash string

// The key hashes of memcached's proxy. HashMD5 is mcp.dist_ring_hash.hash.
const (
	HashXXH3 Hash = "xxh3"
	HashMD5  Hash = "md5"
)

// hashesKeys tells the distributions that hash keys themselves.
func (d Dist) hashesKeys() bool { return d == DistCh3 || d == DistCRC32 || d == DistWeightedCh3 }

// hashFunc is the key hash; nil where the distribution hashes keys itself.
func (o *Options) hashFunc() (hash.Func, error) {
	if o.Dist.hashesKeys() {
		switch {
		case o.Hash != "":
			return nil, fmt.Errorf("distribution %s hashes keys itself: hash %q cannot be given", o.Dist, o.Hash)
		case o.Seed != "":
			return nil, fmt.Errorf("distribution %s takes a salt, not a seed", o.Dist)
		}
		return nil, nil
	}
	if o.Salt != "" {
		return nil, fmt.Errorf("distribution %s takes no salt", cmp.Or(o.Dist, DistJump))
	}
	name := o.Hash
	if name == "" {
		switch o.Dist {
		case DistKetama:
			name = HashMD5
		case DistConsistent, DistModula:
			name = "one_at_a_time"
		default:
			name = HashXXH3
		}
	}
	f, ok := hash.ByName(string(name))
	if !ok {
		return nil, fmt.Errorf("unknown hash specified: %s (there are %s)", name, strings.Join(hash.Names(), ", "))
	}
	return f, nil
}

func (o *Options) newFilter() (hash.Filter, error) {
	if o.HashTag == "" {
		return hash.NewFilter(o.Filter, o.FilterConf)
	}
	if o.Filter != "" {
		return hash.Filter{}, errors.New("filter and hash_tag cannot both be given")
	}
	return hash.NewHashTag(o.HashTag)
}

// distribute fills in m's distribution over its members.
func (p *Pool) distribute(m *membership) (err error) {
	o, n := &p.o, len(m.members)
	switch o.Dist {
	case DistJump, DistRing, DistRandom, DistCh3, DistCRC32, "":
		for _, mb := range m.members {
			if mb.Weight != 0 && mb.Weight != 1 || mb.Drained {
				return fmt.Errorf("backend %q has a weight, and distribution %s has none", mb.Name, cmp.Or(o.Dist, DistJump))
			}
		}
	case DistKetama, DistModula, DistConsistent, DistRendezvous:
		if i := slices.IndexFunc(m.members, func(mb Member) bool { return mb.Drained }); i >= 0 {
			return fmt.Errorf("backend %q has weight 0: leave it out of the pool", m.members[i].Name)
		}
	}
	switch o.Dist {
	case "", DistJump:
		m.dist = hash.NewJump(n)
	case DistRing:
		servers := make([]hash.Server, n)
		for i, mb := range m.members {
			servers[i] = hash.Server{Host: mb.Host, Port: mb.Port}
		}
		m.dist, err = hash.NewRing(servers, o.OMode, o.OBuckets)
	case DistRendezvous:
		m.dist, err = hash.NewRendezvous(nodes(m.members, func(mb *Member) string { return cmp.Or(mb.HashName, mb.Name) }))
	case DistKetama:
		m.dist, err = hash.NewKetama(nodes(m.members, (*Member).ketamaName))
	case DistConsistent:
		m.dist, err = hash.NewConsistent(nodes(m.members, (*Member).ketamaName), p.hash)
	case DistModula:
		m.dist, err = hash.NewModula(nodes(m.members, (*Member).ketamaName))
	case DistRandom:
		m.dist = hash.Random{N: n, IntN: p.o.IntN}
	case DistCh3:
		m.byKey, err = hash.NewCh3(n, o.Salt)
	case DistCRC32:
		m.byKey = hash.NewMCRouterCRC32(n, o.Salt)
	case DistWeightedCh3:
		m.byKey, err = hash.NewWeightedCh3(ch3Weights(m.members), o.Salt)
	default:
		err = fmt.Errorf("unknown key distribution specified: %s", o.Dist)
	}
	return err
}

func nodes(members []Member, name func(*Member) string) []hash.Node {
	ns := make([]hash.Node, len(members))
	for i := range members {
		ns[i] = hash.Node{Name: name(&members[i]), Weight: members[i].Weight}
	}
	return ns
}

// ketamaName is the host, and the port unless it is memcached's own, as libmemcached and twemproxy have it.
func (m *Member) ketamaName() string {
	switch {
	case m.HashName != "":
		return m.HashName
	case m.Port == "" || m.Port == "11211":
		return m.Host
	}
	return m.Host + ":" + m.Port
}

// ch3Weights are the weights as mcrouter fills them up: 1 for all if there are none, else 0.5 for those that have none.
func ch3Weights(members []Member) []float64 {
	none := 1.0
	for _, m := range members {
		if m.Weight != 0 || m.Drained {
			none = 0.5
		}
	}
	ws := make([]float64, len(members))
	for i, m := range members {
		ws[i] = m.Weight
		if m.Weight == 0 && !m.Drained {
			ws[i] = none
		}
	}
	return ws
}
