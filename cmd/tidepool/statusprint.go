// What tidepool status prints for people.

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/topo"
)

// printStatus gives tables, and after them what is wrong.
func printStatus(r *statusReport, endpoints string, now time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "etcd %s, %s at revision %d\n", endpoints, r.Prefix, r.Revision)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(cells ...string) {
		for i, c := range cells {
			cells[i] = cmp.Or(c, "-")
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), " "))
	}
	table := func(cells ...string) {
		_ = w.Flush()
		b.WriteByte('\n')
		row(cells...)
	}
	if len(r.Configs) > 0 {
		table("CONFIGURATION", "GENERATION", "DIGEST", "BYTES")
	}
	for _, key := range slices.Sorted(maps.Keys(r.Configs)) {
		c := r.Configs[key]
		row(r.Prefix+"/"+key, strconv.FormatInt(c.Generation, 10), c.Digest, strconv.Itoa(c.Bytes))
	}
	table("PROXY", "ADMIN", "VERSION", "UP", "CONFIGURATION", "LEADS", "STATE")
	for _, p := range r.Proxies {
		config := "files " + p.Digest
		if p.Config != "" {
			config = fmt.Sprintf("%s %d %s", p.Config, p.Generation, p.Digest)
		}
		row(p.ID, p.Admin, p.Version, age(now.Sub(p.Started)), config, strings.Join(p.Leads, " "), lagging(p.Lags))
	}
	if len(r.Pools) > 0 {
		table("POOL", "EPOCH", "MEMBERS", "SINCE", "PREVIOUS")
	}
	for i := range r.Pools {
		p := &r.Pools[i]
		previous := ""
		if p.Warms(now) {
			previous = fmt.Sprintf("%s, asked for %s more", memberNames(p.Previous), age(p.WarmUntil.Sub(now)))
		}
		row(p.Pool, strconv.FormatUint(p.Epoch, 10), memberNames(p.Members), age(now.Sub(p.Since)), previous)
	}
	if len(r.Leaves) > 0 {
		table("POOL", "LEAF", "ZONE", "WEIGHT", "MEMORY", "VERSION", "ADDRESS", "STATE")
	}
	for _, l := range r.Leaves {
		memory := ""
		if l.Memory > 0 {
			memory = formatSize(l.Memory)
		}
		state := string(cmp.Or(l.State, topo.Ready))
		if len(l.Lags) > 0 {
			state += ", " + lagging(l.Lags)
		}
		row(l.Pool, l.Name, l.Zone, strconv.FormatFloat(cmp.Or(l.Weight, 1), 'g', -1, 64), memory, l.Version, l.Addr, state)
	}
	_ = w.Flush()
	if len(r.Problems) > 0 {
		b.WriteByte('\n')
	}
	for _, p := range r.Problems {
		fmt.Fprintln(&b, p)
	}
	return b.Bytes()
}

func lagging(lags []string) string {
	if len(lags) == 0 {
		return "ok"
	}
	return "LAGS"
}

func memberNames(ms []topo.Member) string {
	names := make([]string, len(ms))
	for i := range ms {
		names[i] = ms[i].Name
	}
	return strings.Join(names, " ")
}

// age words how long something is, in its largest two units.
func age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}
