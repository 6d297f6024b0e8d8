// Pulling: a leaf that gains keys has their hottest items sent by those who owned them, before anybody asks for them.

package leaf

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/leaf/store"
	"github.com/tidepool-proxy/tidepool/leaf/stream"
)

// pull is what one membership brings: streams of the items whose keys this leaf has gained, one source after the other, the most read
// first from each. What comes is a fill: it is not taken for a key that was written here since.
type pull struct {
	l       *Leaf
	ctx     context.Context
	sources []pullSource
	q       frame.StreamRequest
	warmth  uint32 // the store's, when the keys written began to be noted
	room    int64  // bytes that may come
	full    bool   // nothing more is taken
}

// pullSource is a previous owner.
type pullSource struct {
	frame.Member
	goes bool  // it owns no keys any more, and waits until those who do have read what they want
	err  error // why it is tried again
}

var errUnreached = errors.New("cannot connect")

// pullPart is which part of its memory a leaf has filled with items that nobody has asked it for yet.
const pullPart = 4

// beginPull has what m brings pulled, and ends what the one before did. It wants membership.mu locked.
func (l *Leaf) beginPull(m *frame.Membership, p *placement) {
	ms := &l.members
	if ms.stopPull != nil {
		ms.stopPull()
		ms.stopPull = nil
	}
	since := ms.warm.since.Load()
	if m == nil || p == nil || p.me < 0 || since == 0 || ms.ended {
		return
	}
	sources := gainedFrom(m, p.names[p.me])
	if len(sources) == 0 {
		return
	}
	ctx, stop := context.WithDeadline(context.Background(), time.UnixMilli(m.WarmUntil))
	ms.stopPull = stop
	pl := &pull{
		l: l, ctx: ctx, sources: sources, warmth: l.local.Store.Warmth(), room: l.o.Memory / pullPart,
		q: frame.StreamRequest{
			Mode: frame.StreamItems, Order: frame.StreamHottest, Past: &frame.Past{Epoch: m.Epoch, Heir: p.names[p.me], Since: since},
		},
	}
	if pl.room == 0 {
		pl.room = defaultMemory / pullPart
	}
	l.done.Go(func() {
		defer stop()
		pl.run()
	})
}

// gainedFrom gives those previous owners of whose keys some may be this leaf's now.
func gainedFrom(m *frame.Membership, me string) (from []pullSource) {
	now, before := map[string]float64{}, map[string]float64{}
	changed := false
	for _, mb := range m.Members {
		now[mb.Name] = mb.Weight
	}
	for _, mb := range m.Previous {
		before[mb.Name] = mb.Weight
		weight, stays := now[mb.Name]
		changed = changed || stays && weight != mb.Weight
	}
	_, old := before[me]
	for _, mb := range m.Previous {
		_, stays := now[mb.Name]
		if mb.Name != me && (!stays || !old || changed) {
			from = append(from, pullSource{Member: mb, goes: !stays})
		}
	}
	return from
}

// run reads one source after the other. Those that have nothing to say yet come again behind the others, until the time for it is over.
func (p *pull) run() {
	for wait := leastPause; len(p.sources) > 0; wait = min(2*wait, mostPause) {
		var later []pullSource
		for i := range p.sources {
			src := &p.sources[i]
			if p.full && !src.goes {
				continue // it waits for nobody
			}
			items := 0
			if items, src.err = p.from(src); p.ctx.Err() == nil && again(src.err) {
				later = append(later, *src)
				continue
			}
			p.say(src, items)
			if p.ctx.Err() != nil {
				return
			}
			wait = leastPause
		}
		if p.sources = later; len(later) > 0 && !pause(p.ctx, wait) {
			for i := range later {
				p.say(&later[i], 0)
			}
			return
		}
	}
}

func (p *pull) say(src *pullSource, items int) {
	p.l.o.Log.Info("leaf: pulled from previous owner", "leaf", p.l.o.Name, "from", src.Name, "items", items, "err", src.err)
}

// again reports whether a source may have more to say later: it is busy, has not heard of the membership, or cannot be reached yet.
func again(err error) bool {
	return errors.Is(err, stream.ErrBusy) || errors.Is(err, stream.ErrNoLeaf) || errors.Is(err, errUnreached)
}

// from reads one source. Once this leaf is full it only says so: it wants the first item, and no more.
func (p *pull) from(src *pullSource) (items int, err error) {
	nc, name, done, err := p.connect(&src.Member)
	if err != nil {
		return 0, err
	}
	defer done()
	_, err = stream.Reader{Conn: nc, Leaf: name, Now: p.l.o.Now}.Read(p.ctx, p.q, func(it *store.Listed) error {
		if p.full {
			return errFull
		}
		taken := p.take(it)
		if taken == store.TakenStored {
			items++
		}
		if p.room <= 0 || taken == store.TakenFull || taken == store.TakenOver {
			p.full = true
			return errFull
		}
		return nil
	})
	return items, err
}

func (p *pull) take(it *store.Listed) store.Taken {
	tx := p.l.local.Store.Begin(it.Key)
	defer tx.End()
	taken := tx.Fill(&it.Item, it.Heat, p.warmth)
	if taken == store.TakenStored {
		p.l.count.pulled.Add(1)
		p.room -= int64(len(it.Key) + len(it.Value))
	}
	return taken
}

// connect gives a connection to a source, and what ends its use: the leaf's own, if it is in the same NATS system.
func (p *pull) connect(src *frame.Member) (nc *nats.Conn, name string, done func(), err error) {
	l := p.l
	name = src.Name
	if src.Leaf != "" {
		name = src.Leaf
	}
	if l.o.NATS != "" || src.Addr == "" {
		return l.nc, name, func() {}, nil
	}
	url, at, err := splitSource(src.Addr)
	if err != nil {
		return nil, "", nil, fmt.Errorf("cannot read address %q: %w", src.Addr, err)
	}
	if at != "" {
		name = at
	}
	closed := make(chan struct{})
	opts := append([]nats.Option{
		nats.Name("tidepool leaf " + l.o.Name + ", warming"), nats.NoReconnect(), nats.Timeout(mostPause),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // whoever reads sees what is missing
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
	}, l.o.Recover.Connect...)
	if nc, err = nats.Connect(url, opts...); err != nil {
		return nil, "", nil, fmt.Errorf("%w to %q: %w", errUnreached, url, err)
	}
	return nc, name, func() { nc.Close(); <-closed }, nil
}
