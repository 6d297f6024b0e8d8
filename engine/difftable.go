// The table of a Diff: how many keys each pool and each backend has, before and after.

package engine

import (
	"cmp"
	"slices"
)

// cell is a backend in a pool, whatever it is called.
type cell struct{ pool, backend int32 }

// table counts keys. Spots of both sides are cells of it.
type table struct {
	old, now []cell // by spot of a side
	names    []string
	number   map[string]int32
	labels   map[cell]string
	cells    map[cell]*Moves
	whole    map[int32]*Moves // by pool
	touched  map[int32]Moves  // of the key that is being counted: 1 or 0 of each, by pool
}

func newTable(old, now []Spot) *table {
	t := &table{number: map[string]int32{}, labels: map[cell]string{}, cells: map[cell]*Moves{}, whole: map[int32]*Moves{}, touched: map[int32]Moves{}}
	t.old, t.now = t.lay(old), t.lay(now)
	return t
}

func (t *table) lay(spots []Spot) (cells []cell) {
	for _, s := range spots {
		c := cell{t.name(s.Pool), t.name("backend " + s.Backend)}
		cells = append(cells, c)
		if t.cells[c] == nil {
			t.cells[c] = &Moves{}
		}
		if t.whole[c.pool] == nil {
			t.whole[c.pool] = &Moves{}
		}
		t.labels[c] = s.Label
	}
	return cells
}

func (t *table) name(s string) int32 {
	n, ok := t.number[s]
	if !ok {
		n = int32(len(t.names))
		t.number[s], t.names = n, append(t.names, s)
	}
	return n
}

// count counts one key, and reports whether it moves.
func (t *table) count(before, after []int32) (moves bool) {
	has := func(cells []cell, spots []int32, backend int32) bool {
		return slices.ContainsFunc(spots, func(s int32) bool { return cells[s].backend == backend })
	}
	clear(t.touched)
	for _, s := range before {
		c := t.old[s]
		p := t.touched[c.pool]
		p.Before = 1
		t.cells[c].Before++
		if !has(t.now, after, c.backend) {
			t.cells[c].Out++
			p.Out, moves = 1, true
		}
		t.touched[c.pool] = p
	}
	for _, s := range after {
		c := t.now[s]
		p := t.touched[c.pool]
		p.After = 1
		t.cells[c].After++
		if !has(t.old, before, c.backend) {
			t.cells[c].In++
			p.In, moves = 1, true
		}
		t.touched[c.pool] = p
	}
	for pool, p := range t.touched {
		w := t.whole[pool]
		w.Before, w.After, w.In, w.Out = w.Before+p.Before, w.After+p.After, w.In+p.In, w.Out+p.Out
	}
	return moves
}

// pools gives what was counted, pools and backends in the order of their names; what has no keys at all is left out where it is no pool's.
func (t *table) pools() (list []PoolMoves) {
	for pool, m := range t.whole {
		p := PoolMoves{Pool: t.names[pool], Moves: *m}
		for c, m := range t.cells {
			if c.pool == pool && (p.Pool != "" || *m != Moves{}) {
				p.Backends = append(p.Backends, BackendMoves{t.names[c.backend][len("backend "):], t.labels[c], *m})
			}
		}
		if len(p.Backends) == 0 {
			continue
		}
		slices.SortFunc(p.Backends, func(a, b BackendMoves) int { return cmp.Compare(a.Backend, b.Backend) })
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b PoolMoves) int { return cmp.Compare(a.Pool, b.Pool) })
	return list
}
