// The rows: what load, who takes part, what is compared, and what is aimed at.

package main

import "context"

// shape is the load of one turn, as `tidepool bench` wants it.
type shape struct {
	conns    int
	depth    int
	multiget int // keys of a get; 0: 1
	size     int // bytes of a value
	keys     int
	rate     float64 // requests a second of an open loop; 0: closed
}

// measure is one number that is compared, as a ratio of the subject's to the peer's.
type measure struct {
	name string
	of   func(result) float64
	less bool    // the less the better
	aim  float64 // of the ratio; 0: none
	unit string
	own  bool // the aim is of the subject's own number, not of a ratio

	difference bool // it may be below zero, and then tells nothing
}

// row is one comparison.
type row struct {
	name, title string
	shape       shape
	subject     kind
	peers       []kind // the best of them, by the first measure, is the peer
	beside      []kind // measured and shown besides
	instead     []kind // measured where no peer can run
	measures    []measure
	idle        int // connections that are opened and left idle
	turn        turn
	prepare     func(ctx context.Context, b *bench, o *outcome, cs []contender) ([]contender, error) // before the first round; nil: nothing
}

// turn is one contender's turn in one round.
type turn func(ctx context.Context, b *bench, r *row, c contender, round int) (result, error)

func perSecond(aim float64) measure {
	return measure{name: "requests/s", of: func(r result) float64 { return r.PerSecond }, aim: aim}
}

func cpu(aim float64) measure {
	return measure{name: "proxy CPU per request", unit: " µs", of: func(r result) float64 { return r.CPU }, less: true, aim: aim}
}

func added(aim float64) measure {
	return measure{name: "added p99", unit: " µs", of: func(r result) float64 { return r.Added }, less: true, aim: aim, difference: true}
}

func perConn(aim float64) measure {
	return measure{name: "RSS per connection", unit: " kB", of: func(r result) float64 { return r.PerConn / 1000 }, less: true, aim: aim, own: true}
}

// common is the load of most rows: what the issue of speed fixes.
func common(depth int) shape { return shape{conns: 16, depth: depth, size: 100, keys: 10_000} }

// with is s after some change.
func (s shape) with(change func(*shape)) shape {
	change(&s)
	return s
}

// inFlightOfTop is the depth of the closed loop whose best rate is halved for the open loop.
const inFlightOfTop = 1

var (
	theirs = []kind{theirs1, theirs2}
	nut    = []kind{nutcracker}
)

// rows are all rows, in the order in which they are measured.
var rows = []row{
	{name: "depth1", title: "memcached backends, 1 in flight", shape: common(1),
		subject: oursLua, peers: theirs, beside: nut, measures: []measure{perSecond(1), cpu(1.2)}, turn: closedTurn},
	{name: "depth16", title: "memcached backends, 16 in flight", shape: common(16),
		subject: oursLua, peers: theirs, beside: nut, measures: []measure{perSecond(1.05), cpu(1)}, turn: closedTurn},
	{name: "multiget10", title: "memcached backends, get of 10 keys", shape: common(1).with(func(s *shape) { s.multiget = 10 }),
		subject: oursLua, peers: theirs, beside: nut, measures: []measure{perSecond(1), cpu(1.1)}, turn: closedTurn},
	{name: "multiget100", title: "memcached backends, get of 100 keys", shape: common(1).with(func(s *shape) { s.multiget = 100 }),
		subject: oursLua, peers: theirs, beside: nut, measures: []measure{perSecond(1), cpu(1.1)}, turn: closedTurn},
	{name: "failover16", title: "failover route over two pools, 16 in flight", shape: common(16),
		subject: oursFailover, peers: []kind{theirsFailover1, theirsFailover2}, measures: []measure{perSecond(1), cpu(1.1)}, turn: closedTurn},
	{name: "leaves1", title: "three leaves over NATS, 1 in flight", shape: common(1),
		subject: oursLeaves, peers: theirs, instead: nut, measures: []measure{perSecond(0.85), cpu(0)}, turn: closedTurn},
	{name: "leaves16", title: "three leaves over NATS, 16 in flight", shape: common(16),
		subject: oursLeaves, peers: theirs, instead: nut, measures: []measure{perSecond(0.9), cpu(0)}, turn: closedTurn},
	{name: "open", title: "open loop at half the peer's top rate", shape: common(inFlightOfTop),
		subject: oursLua, peers: theirs, measures: []measure{added(1), cpu(1.2)}, turn: openTurn, prepare: besideDirect},
	{name: "half16", title: "16 in flight, at half the peer's top rate", shape: common(16),
		subject: oursLua, peers: theirs, measures: []measure{cpu(1)}, turn: openTurn, prepare: halfOfTop},
	{name: "halfget10", title: "gets of 10 keys, at half the peer's top rate", shape: common(1).with(func(s *shape) { s.multiget = 10 }),
		subject: oursLua, peers: theirs, measures: []measure{cpu(1.1)}, turn: openTurn, prepare: halfOfTop},
	{name: "halfget100", title: "gets of 100 keys, at half the peer's top rate", shape: common(1).with(func(s *shape) { s.multiget = 100 }),
		subject: oursLua, peers: theirs, measures: []measure{cpu(1.1)}, turn: openTurn, prepare: halfOfTop},
	{name: "halffailover", title: "failover over two pools, at half the peer's top rate", shape: common(16),
		subject: oursFailover, peers: []kind{theirsFailover1, theirsFailover2}, measures: []measure{cpu(1.1)}, turn: openTurn, prepare: halfOfTop},
	{name: "conns200", title: "200 connections, 1 in flight", shape: common(1).with(func(s *shape) { s.conns = 200 }),
		subject: oursLua, peers: theirs, instead: nut, measures: []measure{perSecond(1), cpu(0)}, turn: closedTurn},
	{name: "conns500", title: "500 connections, 1 in flight", shape: common(1).with(func(s *shape) { s.conns = 500 }),
		subject: oursLua, peers: theirs, instead: nut, measures: []measure{perSecond(1), cpu(0)}, turn: closedTurn},
	{name: "value8k", title: "values of 8 kB, 1 in flight", shape: common(1).with(func(s *shape) { s.size = 8000 }),
		subject: oursLua, peers: theirs, instead: nut, measures: []measure{perSecond(0.95), cpu(0)}, turn: closedTurn},
	{name: "value100k", title: "values of 100 kB, 1 in flight", shape: common(1).with(func(s *shape) { s.size, s.keys = 100_000, 1000 }),
		subject: oursLua, peers: theirs, instead: nut, measures: []measure{perSecond(0.95), cpu(0)}, turn: closedTurn},
	{name: "pool", title: "a pool attached without Lua, to the Lua route, 16 in flight", shape: common(16),
		subject: oursPool, peers: []kind{oursLua}, measures: []measure{perSecond(1.15), cpu(0)}, turn: closedTurn},
	{name: "idle1000", title: "1,000 idle connections", shape: common(1), idle: 1000,
		subject: oursLua, peers: theirs, measures: []measure{perConn(10)}, turn: idleTurn},
	{name: "idle10000", title: "10,000 idle connections", shape: common(1), idle: 10_000,
		subject: oursLua, peers: theirs, measures: []measure{perConn(10)}, turn: idleTurn},
}
