// Leases and coalescing: a crowd that wants one key when it goes, and a set of keys that expire, each at its own time.

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"
)

// way is one route, the same load as its neighbours in the table.
type way struct {
	name  string
	route string
	stale bool    // whether it may answer with what was deleted
	cut   float64 // by how much it is to cut the first way's queries; 0: that is not the point
}

var (
	direct   = way{name: "`route_direct`", route: `route_direct{ child = "main" }`}
	coalesce = way{name: "`route_coalesce`", route: `route_coalesce{ child = "main" }`}
	lease    = way{name: "`route_lease`", route: `route_lease{ child = "main" }`}
	stale    = way{name: "`route_lease`, `stale = 30`", route: `route_lease{ child = "main", stale = 30 }`, stale: true}
	fill     = way{name: "`route_fill`, which asks the database itself", route: `route_fill{ child = "main", url = "URL", ttl = TTL, jitter = 0 }`}
)

// cutBy is w, with an aim.
func cutBy(w way, by float64) way {
	w.cut = by
	return w
}

// load is what comes to a route.
type load struct {
	what    string
	ways    []way
	ttl     int
	keys    int
	skew    float64       // of Zipf's law; 0: one key
	deletes time.Duration // one so often, of key 0; 0: none
}

// crowd is what one turn of a load gave.
type crowd struct {
	*app
	took   time.Duration
	gets   int64 // that backends were asked
	starts int64 // how often the crowd began to miss: queries after there were none for a while
}

func (c crowd) queries() float64 { return float64(c.db.asked.Load()) }
func (c crowd) perSecond() float64 {
	return c.queries() / c.took.Seconds()
}

const fillRate = 13 // what Facebook's leases cut the database's peak by: 17,000 to 1,300 queries/s

func crowds(ctx context.Context, s *settings, w io.Writer) error {
	fmt.Fprintf(w, "\n| | queries each time | p50 | p99 | p99.9 | old values | gets a read | queries cut by |\n|---|---|---|---|---|---|---|---|\n")
	var missed []error
	for _, l := range []load{
		{what: "one key, which expires each second", ttl: 1, keys: 1, ways: []way{direct, coalesce, cutBy(lease, fillRate), cutBy(fill, fillRate)}},
		{what: "one key, which is deleted each second", ttl: 300, keys: 1, deletes: time.Second,
			ways: []way{direct, coalesce, cutBy(lease, fillRate), cutBy(stale, fillRate), cutBy(fill, fillRate)}},
	} {
		if err := loads(ctx, s, w, l, crowdLine); errors.Is(err, errMissed) {
			missed = append(missed, err)
		} else if err != nil {
			return err
		}
	}
	return errors.Join(missed...)
}

func sets(ctx context.Context, s *settings, w io.Writer) error {
	fmt.Fprintf(w, "\n| | queries/s | most in 0.1 s | p50 | p99 | p99.9 | queries cut by |\n|---|---|---|---|---|---|---|\n")
	return loads(ctx, s, w, load{what: "200 keys by Zipf 1.1, each of which lives for a second", ttl: 1, keys: 200, skew: 1.1,
		ways: []way{direct, coalesce, lease, fill}}, setLine)
}

// loads runs one load over all its ways, in turns, and writes their lines.
func loads(ctx context.Context, s *settings, w io.Writer, l load, line func(io.Writer, string, []crowd, string)) error {
	backends, err := startTier(ctx, s.tidepool, 3)
	if err != nil {
		return err
	}
	defer backends.stop()
	origin, err := startOrigin()
	if err != nil {
		return err
	}
	defer origin.close()
	turns, addrs := make([][]crowd, len(l.ways)), make([]string, len(l.ways))
	for i, way := range l.ways {
		route := strings.NewReplacer("URL", origin.url(), "TTL", strconv.Itoa(l.ttl)).Replace(way.route)
		p, err := startProxy(ctx, s.tidepool, fmt.Sprintf("pools{ main = { backends = %s } }\nroutes{ default = %s }\n", backends.list(0), route))
		if err != nil {
			return err
		}
		defer p.kill()
		addrs[i] = p.addr
	}
	for round := range s.rounds {
		for i := range l.ways {
			i = (i + round) % len(l.ways)
			c, err := l.turn(ctx, s, addrs[i], origin, backends)
			if err == nil && !l.ways[i].stale && c.tally[0].stale.Load() > 0 {
				err = fmt.Errorf("%w: %d values were older than a confirmed delete", errWrong, c.tally[0].stale.Load())
			}
			if n := c.tally[0].errors.Load(); err == nil && n > 0 {
				err = fmt.Errorf("%w: %d errors", errWrong, n)
			}
			if err != nil {
				return fmt.Errorf("%s, %s: %w", l.what, l.ways[i].name, err)
			}
			turns[i] = append(turns[i], c)
		}
	}
	line(w, "**"+l.what+"**", nil, "")
	for i, way := range l.ways {
		by := ""
		if i > 0 {
			var cuts []float64
			for j := range turns[i] {
				cuts = append(cuts, turns[0][j].queries()/max(turns[i][j].queries(), 1))
			}
			itself := func(x float64) float64 { return x }
			least, most := spread(cuts, itself)
			by = fmt.Sprintf("%.1f (%.1f to %.1f)", median(cuts, itself), least, most)
			if m := median(cuts, itself); m < way.cut {
				err = errors.Join(err, fmt.Errorf("%s, %s %w: queries are cut by %.1f, want %.0f", l.what, way.name, errMissed, m, way.cut))
			}
		}
		line(w, way.name, turns[i], by)
	}
	return err
}

// turn loads one route.
func (l *load) turn(ctx context.Context, s *settings, addr string, origin *origin, backends tier) (crowd, error) {
	a := newApp(addr, l.keys, s.query, l.ttl, 1)
	origin.db.Store(a.db)
	c := crowd{app: a, took: s.duration}
	if l.skew > 0 {
		a.keyOf = zipf(l.keys, l.skew)
	}
	writer, err := dial(addr)
	if err != nil {
		return c, err
	}
	defer writer.c.Close()
	for n := range l.keys { // what a turn before has left
		if err := writer.del(key(n)); err != nil {
			return c, err
		}
		if err := writer.set(key(n), value(key(n), 0), l.ttl); err != nil {
			return c, err
		}
	}
	before, err := backends.gets()
	if err != nil {
		return c, err
	}
	ctx, stop := context.WithTimeout(ctx, s.duration)
	defer stop()
	watched := make(chan error, 1)
	go func() { watched <- c.watch(ctx, writer, l.deletes) }()
	err = a.clients(ctx, s.conns, s.rate)
	stop()
	after, getsErr := backends.gets()
	c.gets = after - before
	return c, errors.Join(err, <-watched, getsErr)
}

// watch looks at the database ten times a second, and updates row 0 every so often.
func (c *crowd) watch(ctx context.Context, writer *conn, every time.Duration) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	began, updates, seen, quiet := time.Now(), 0, int64(0), 2
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		c.db.tick()
		if now := c.db.asked.Load(); now == seen {
			quiet++
		} else {
			if quiet >= 2 {
				c.starts++
			}
			seen, quiet = now, 0
		}
		if every > 0 && time.Since(began) > time.Duration(updates+1)*every {
			updates++
			if err := c.update(ctx, writer, 0); err != nil {
				return err
			}
		}
	}
}

// zipf draws numbers below n, the first the most often.
func zipf(n int, skew float64) func() int {
	var mu sync.Mutex
	z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), skew, 1, uint64(n-1))
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return int(z.Uint64())
	}
}

// crowdLine writes the line of a route, or of what follows if there are no turns.
func crowdLine(w io.Writer, name string, turns []crowd, cut string) {
	if turns == nil {
		fmt.Fprintf(w, "| %s | | | | | | | |\n", name)
		return
	}
	each := median(turns, func(c crowd) float64 { return c.queries() / float64(max(c.starts, 1)) })
	old := median(turns, func(c crowd) float64 { return c.tally[0].share(&c.tally[0].stale) })
	gets := median(turns, func(c crowd) float64 { return float64(c.gets) / float64(max(c.tally[0].reads.Load(), 1)) })
	fmt.Fprintf(w, "| %s | %.1f | %s | %.1f %% | %.2f | %s |\n", name, each, waits(turns), old*100, gets, cut)
}

func setLine(w io.Writer, name string, turns []crowd, cut string) {
	if turns == nil {
		fmt.Fprintf(w, "| %s | | | | | | |\n", name)
		return
	}
	peak := median(turns, func(c crowd) float64 { return float64(c.db.peak.Load()) })
	fmt.Fprintf(w, "| %s | %.0f | %.0f | %s | %s |\n", name, median(turns, crowd.perSecond), peak, waits(turns), cut)
}

// waits is how long clients waited for a value.
func waits(turns []crowd) string {
	ms := func(q float64) float64 {
		return median(turns, func(c crowd) float64 { return at(c.tally[0].served, q) })
	}
	return fmt.Sprintf("%.1f ms | %.1f ms | %.1f ms", ms(0.5), ms(0.99), ms(0.999))
}
