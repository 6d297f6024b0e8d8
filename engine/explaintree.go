// The tree of an Explain: a request is run again for each way in which what it has sent so far may be answered.

package engine

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// Limits of a tree. A run loads the files anew, which takes some milliseconds.
const (
	maxRuns  = 500
	maxWaves = 16
)

// explorer makes the tree.
type explorer struct {
	t             *script
	runs          int
	cut, unsteady bool
}

// step gives what follows on a plan, which parent, a run by all but the end of it, led to. Nil: there were too many runs.
func (x *explorer) step(plan [][]outcome, parent *ran) (*Step, error) {
	if x.runs++; x.runs > maxRuns || len(plan) > maxWaves {
		x.cut = true
		return nil, nil
	}
	run, err := x.t.run(plan, outcomeHit)
	if err != nil {
		return nil, err
	}
	n := len(plan)
	if parent != nil && !sameWaves(parent.waves[:n], run.waves) {
		x.unsteady = true
	}
	if len(run.waves) <= n {
		return &Step{End: &run.end}, nil
	}
	w := run.waves[n]
	st := &Step{After: w.After, Within: w.Within, Sent: w.Sent}
	alike := map[string]int{}
	for _, outcomes := range ways(&w) {
		then, err := x.step(append(slices.Clone(plan), outcomes), run)
		if err != nil {
			return nil, err
		}
		when := make([]string, len(outcomes))
		for i, o := range outcomes {
			when[i] = word(w.reqs[i], o)
		}
		key, _ := json.Marshal(then) // it has no part that cannot be
		i, ok := alike[string(key)]
		if !ok {
			i = len(st.Cases)
			alike[string(key)], st.Cases = i, append(st.Cases, Case{Then: then})
		}
		st.Cases[i].When = append(st.Cases[i].When, when)
	}
	return st, nil
}

// sameWaves reports whether a run began as another did.
func sameWaves(a, b []wave) bool {
	if len(a) > len(b) {
		return false
	}
	for i := range a {
		if !slices.EqualFunc(a[i].Sent, b[i].Sent, func(x, y Sent) bool { return x.Pool == y.Pool && x.Line == y.Line && x.Backend == y.Backend }) {
			return false
		}
	}
	return true
}

// ways are the ways in which the requests of a wave may be answered: of one or two requests all of them; of more, those in which all fare
// alike or one is better or worse off.
func ways(w *wave) (list [][]outcome) {
	n := len(w.Sent)
	kinds := func(i int) []outcome {
		r := w.reqs[i]
		if r == nil {
			return []outcome{outcomeDown}
		}
		ks := []outcome{outcomeHit}
		if string(canned(nil, r, outcomeHit, "x")) != string(canned(nil, r, outcomeMiss, "x")) {
			ks = append(ks, outcomeMiss)
		}
		if w.own {
			return ks
		}
		if ks = append(ks, outcomeDown); w.Within > 0 {
			ks = append(ks, outcomeSilent)
		}
		return ks
	}
	add := func(outcomes []outcome) {
		for i, o := range outcomes { // what this request cannot be: as another
			if ks := kinds(i); !slices.Contains(ks, o) {
				outcomes[i] = ks[0]
			}
		}
		if !slices.ContainsFunc(list, func(l []outcome) bool { return slices.Equal(l, outcomes) }) {
			list = append(list, outcomes)
		}
	}
	if n <= 2 {
		for _, a := range kinds(0) {
			if n == 1 {
				add([]outcome{a})
				continue
			}
			for _, b := range kinds(1) {
				add([]outcome{a, b})
			}
		}
		return list
	}
	all := []outcome{outcomeHit, outcomeMiss, outcomeDown, outcomeSilent}
	for _, o := range all {
		add(slices.Repeat([]outcome{o}, n))
	}
	for _, pair := range [][2]outcome{{outcomeHit, outcomeMiss}, {outcomeMiss, outcomeHit}, {outcomeDown, outcomeHit}, {outcomeSilent, outcomeHit}, {outcomeHit, outcomeDown}} {
		for i := range n {
			outcomes := slices.Repeat([]outcome{pair[1]}, n)
			outcomes[i] = pair[0]
			add(outcomes)
		}
	}
	return list
}

// word is what an outcome is called for a request.
func word(r *mc.Request, o outcome) string {
	if o == outcomeDown || o == outcomeSilent || r == nil {
		return o.String()
	}
	answer := string(canned(nil, r, o, "x"))
	code, _, _ := strings.Cut(strings.TrimRight(answer, "\r\n"), " ")
	switch code {
	case "STORED":
		return "stored"
	case "NOT_STORED", "NS":
		return "not stored"
	case "HD":
		if r.Cmd == mc.CmdMS {
			return "stored"
		}
	}
	return o.String()
}
