// The rows: how the backends are slow, what is compared, and what should come of it.

package main

import "time"

// row is one kind of trouble.
type row struct {
	name   string
	what   string
	faults [replicas]fault
	direct string // the route without hedging
	hedged string
	closed bool    // as many requests as the backends take, instead of so many a second
	faster float64 // by how much p99.9 is to be cut; 0: that is not the point
	extra  float64 // most requests besides, as a part of all
}

const replicas = 3

// The routes. Hedging has its defaults; writes go to all, so that all have what is read.
const (
	everywhere = `write = route_allsync{ children = { "a", "b", "c" } }`
	first      = `route_direct{ child = "a" }`
	anyone     = `route_random{ children = { "a", "b", "c" } }`
	listed     = `route_hedged{ children = { "a", "b", "c" }, ` + everywhere + ` }`
	fixed      = `route_hedged{ children = { "a", "b", "c" }, order = "spread", delay = 0.01, ` + everywhere + ` }`
	spread     = `route_hedged{ children = { "a", "b", "c" }, order = "spread", ` + everywhere + ` }`
)

var nowAndThen = fault{share: 0.01, by: 100 * time.Millisecond}

var rows = []row{
	{name: "first", what: "the replica that is asked first is slow in 1 % of its answers, by 100 ms",
		faults: [replicas]fault{nowAndThen}, direct: first, hedged: listed, faster: 10, extra: 0.05},
	{name: "spread", what: "one of three that are asked in turn is slow in 1 % of its answers, by 100 ms",
		faults: [replicas]fault{nowAndThen}, direct: anyone, hedged: spread, faster: 10, extra: 0.05},
	{name: "all", what: "all three are slow in 1 % of their answers, by 100 ms",
		faults: [replicas]fault{nowAndThen, nowAndThen, nowAndThen}, direct: anyone, hedged: spread, extra: 0.05},
	{name: "bad", what: "all three are slow in 20 % of their answers, by 100 ms",
		faults: [replicas]fault{{share: 0.2, by: 100 * time.Millisecond}, {share: 0.2, by: 100 * time.Millisecond}, {share: 0.2, by: 100 * time.Millisecond}},
		direct: anyone, hedged: spread, extra: 0.05},
	{name: "full", what: "each can do 1,000 requests a second or less, and is asked for more",
		faults: [replicas]fault{{each: time.Millisecond}, {each: time.Millisecond}, {each: time.Millisecond}}, direct: anyone, hedged: spread, closed: true, extra: 0.01},
	{name: "fixed", what: "the same, with a delay of 10 ms that knows nothing of it",
		faults: [replicas]fault{{each: time.Millisecond}, {each: time.Millisecond}, {each: time.Millisecond}}, direct: anyone, hedged: fixed, closed: true, extra: 0.02},
}
