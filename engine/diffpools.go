// The pools of a Diff: which came and went, and what is another with those that stayed.

package engine

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tidepool-proxy/tidepool/pools"
)

// PoolChange is a pool that is there on one side only, or not the same on both.
type PoolChange struct {
	Pool   string   `json:"pool"`
	Change string   `json:"change"` // "came", "went" or "changed"
	What   []string `json:"what"`
	Moved  float64  `json:"moved"` // the share of the sample that it places on another backend, if it changed
}

// identities gives what a backend is told by: its address, as far as that says where its items are. A leaf that has a name is that leaf,
// through whichever servers it is reached, unless two of the name are used at once.
func identities(sides ...[]pools.Spec) func(pools.Spec) string {
	servers := map[string]string{}
	ambiguous := map[string]bool{}
	for _, specs := range sides {
		here := map[string]string{}
		for _, s := range specs {
			if name := s.Addr.Name; name != "" {
				at := s.Addr.Host + ":" + s.Addr.Port
				if was, ok := here[name]; ok && was != at {
					ambiguous[name] = true
				}
				here[name] = at
			}
		}
		for name, at := range here {
			servers[name] = at
		}
	}
	return func(s pools.Spec) string {
		a := s.Addr
		a.User, a.More, a.TLS = "", "", false
		if a.Name != "" && !ambiguous[a.Name] {
			return "leaf " + a.Name
		}
		return a.String()
	}
}

// diffPools compares pools by their names. keys are a sample.
func diffPools(old, now *side, keys []string) []PoolChange {
	list := []PoolChange{}
	byName := func(d *side) map[string]*pools.Pool {
		m := map[string]*pools.Pool{}
		for _, p := range d.g.pools {
			m[p.Name()] = p
		}
		return m
	}
	before, after := byName(old), byName(now)
	for _, p := range old.g.pools {
		q := after[p.Name()]
		if q == nil {
			list = append(list, PoolChange{Pool: p.Name(), Change: "went", What: old.tellPool(p)})
			continue
		}
		if what := unlikePools(old, now, p, q); len(what) > 0 {
			list = append(list, PoolChange{p.Name(), "changed", what, old.apart(now, p, q, keys)})
		}
	}
	for _, q := range now.g.pools {
		if before[q.Name()] == nil {
			list = append(list, PoolChange{Pool: q.Name(), Change: "came", What: now.tellPool(q)})
		}
	}
	slices.SortStableFunc(list, func(a, b PoolChange) int { return cmp.Compare(a.Pool, b.Pool) })
	return list
}

// tellPool says what a pool consists of.
func (d *side) tellPool(p *pools.Pool) []string {
	names := make([]string, len(p.Members()))
	for i, m := range p.Members() {
		names[i] = d.call(m)
	}
	return []string{fmt.Sprintf("backends: %s", strings.Join(names, ", ")), "dist " + string(cmp.Or(p.Options().Dist, pools.DistJump))}
}

// call names a member for people.
func (d *side) call(m pools.Member) string {
	id, name := d.ids[m.Backend], m.Backend.Name()
	if name == id || "leaf "+name == id {
		return id
	}
	return fmt.Sprintf("%s (%s)", name, id)
}

// apart is the share of keys that two pools place on different backends.
func (d *side) apart(other *side, p, q *pools.Pool, keys []string) float64 {
	n := 0
	for _, key := range keys {
		_, a := p.Pick([]byte(key))
		_, b := q.Pick([]byte(key))
		if (a == nil) != (b == nil) || a != nil && d.ids[a] != other.ids[b] {
			n++
		}
	}
	return float64(n) / float64(max(1, len(keys)))
}

// unlikePools says what differs between two pools of one name.
func unlikePools(old, now *side, p, q *pools.Pool) (what []string) {
	a, b := map[string]pools.Member{}, map[string]pools.Member{}
	var orderA, orderB []string
	for _, m := range p.Members() {
		a[old.ids[m.Backend]] = m
	}
	for _, m := range q.Members() {
		id := now.ids[m.Backend]
		b[id] = m
		if _, ok := a[id]; ok {
			orderB = append(orderB, id)
		} else {
			what = append(what, "backend came: "+now.call(m))
		}
	}
	for _, m := range p.Members() {
		id := old.ids[m.Backend]
		if _, ok := b[id]; !ok {
			what = append(what, "backend went: "+old.call(m))
			continue
		}
		orderA = append(orderA, id)
		what = append(what, unlikeMembers(old, now, m, b[id])...)
	}
	if !slices.Equal(orderA, orderB) {
		what = append(what, "backends are in another order")
	}
	x, y := p.Options(), q.Options()
	x.Latency, y.Latency = nil, nil
	x.Dist, y.Dist = cmp.Or(x.Dist, pools.DistJump), cmp.Or(y.Dist, pools.DistJump)
	return append(what, fields("", x, y)...)
}

// unlikeMembers says what differs between two members that are one backend.
func unlikeMembers(old, now *side, m, n pools.Member) (what []string) {
	about := fmt.Sprintf("backend %s: ", now.call(n))
	x, y := old.spec[m.Backend], now.spec[n.Backend]
	if old.call(m) != now.call(n) {
		what = append(what, fmt.Sprintf("%snow called so, was %s", about, old.call(m)))
	}
	x.Addr, y.Addr, x.Label, y.Label = pools.Address{}, pools.Address{}, "", ""
	what = append(what, fields(about, x, y)...)
	m.Backend, n.Backend, m.Name, n.Name = nil, nil, "", ""
	return append(what, fields(about, m, n)...)
}

// fields says which fields of two structs differ.
func fields(about string, a, b any) (what []string) {
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		f := x.Type().Field(i)
		switch f.Type.Kind() {
		case reflect.Func, reflect.Interface:
			continue
		}
		if v, w := x.Field(i).Interface(), y.Field(i).Interface(); !reflect.DeepEqual(v, w) {
			what = append(what, fmt.Sprintf("%s%s: %s, now %s", about, strings.ToLower(f.Name), shown(v), shown(w)))
		}
	}
	return what
}

// shown is a value of an option.
func shown(v any) string {
	if s, ok := v.(fmt.Stringer); ok {
		return s.String()
	}
	switch reflect.TypeOf(v).Kind() {
	case reflect.String:
		return fmt.Sprintf("%q", v)
	case reflect.Struct:
		return fmt.Sprintf("%+v", v)
	}
	return fmt.Sprint(v)
}
