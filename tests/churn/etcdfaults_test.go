// The faults of etcd: members die and come back, lose one another, and forget their past.

package churn

import "time"

// etcdKinds are what happens to etcd, in the order of the table.
var etcdKinds = []string{
	"etcd members killed", "etcd leaders killed", "etcd killed whole", "etcd members cut off", "etcd leaders cut off", "etcd slow inside",
}

// etcdFaults is what is broken of etcd now.
type etcdFaults struct {
	over   func() // ends the condition; nil: nothing is broken
	healAt time.Time
	rest   time.Time // nothing happens until then: etcd has to come to itself
}

// strikeEtcd does something to etcd in every second round in which it is whole, and mends it when it is time. Half the time it is made to forget the past
// when it is mended, so that nobody can go on where he was.
func (c *churner) strikeEtcd() error {
	now := time.Now()
	switch {
	case !*etcd:
	case c.etcd.over != nil && now.After(c.etcd.healAt):
		c.mendEtcd()
		c.etcd.rest = now.Add(2 * time.Second)
		if c.r.IntN(2) == 0 {
			return c.compact()
		}
	case c.etcd.over != nil || now.Before(c.etcd.rest) || c.r.IntN(2) == 0:
	case !c.w.etcd.Healthy():
		c.say("etcd has not come to itself yet")
	default:
		c.breakEtcd()
	}
	return nil
}

// compact counts only what was done: etcd may be about to elect a leader.
func (c *churner) compact() error {
	if err := c.w.etcd.Compact(); err != nil {
		c.say("%v", err)
		return nil
	}
	c.happens("etcd compacted", "its past is gone")
	return nil
}

func (c *churner) breakEtcd() {
	etcd := c.w.etcd
	lasts := time.Second + time.Duration(c.r.Int64N(int64(7*time.Second)))
	kind := etcdKinds[c.r.IntN(len(etcdKinds))]
	m := etcd.Members[c.r.IntN(len(etcd.Members))]
	if kind == "etcd leaders killed" || kind == "etcd leaders cut off" {
		m = etcd.Leader()
	}
	who := m.Name
	switch kind {
	case "etcd members killed", "etcd leaders killed":
		m.Kill()
	case "etcd killed whole":
		who = "all"
		for _, m := range etcd.Members {
			m.Kill()
		}
	case "etcd members cut off", "etcd leaders cut off":
		etcd.Isolate(m)
	case "etcd slow inside":
		who = "all"
		etcd.Slow(time.Millisecond + time.Duration(c.r.Int64N(int64(60*time.Millisecond))))
	}
	c.etcd.over, c.etcd.healAt = c.now.begin("etcd is hurt"), time.Now().Add(lasts)
	c.happens(kind, who+" for "+lasts.Round(100*time.Millisecond).String())
}

// mendEtcd makes etcd whole, and does not wait until it is.
func (c *churner) mendEtcd() {
	if c.etcd.over == nil {
		return
	}
	c.w.etcd.Heal()
	for _, m := range c.w.etcd.Members {
		if !m.Runs() {
			m.Start()
		}
	}
	c.etcd.over()
	c.etcd.over = nil
}
