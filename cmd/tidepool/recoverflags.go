// The flags that say whose items a leaf takes when it starts, and how it shows how far it is.

package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"

	"github.com/tidepool-proxy/tidepool/leaf"
)

// recoverFlags are those of tidepool leaf.
type recoverFlags struct {
	client          clientFlags // what is presented to leaves at addresses of their own
	from            []string
	timeout, settle time.Duration
}

func (f *recoverFlags) add(fs *pflag.FlagSet) {
	fs.StringSliceVar(&f.from, "recover-from", nil, "`leaves` whose items to take at the start, with commas between: names in the same NATS system, or nats://host:port/name")
	fs.DurationVar(&f.timeout, "recover-timeout", 30*time.Second, "how long a leaf of --recover-from may give nothing before this one goes on without it")
	fs.DurationVar(&f.settle, "recover-settle", 3*time.Second, "how long a request of a proxy may take: until then what it wrote elsewhere may have missed this leaf")
	f.client.add(fs, "recover-", "leaves of --recover-from that are given by address")
}

// problem says what cannot be meant, or "".
func (f *recoverFlags) problem() string {
	switch {
	case f.timeout <= 0:
		return fmt.Sprintf("invalid argument %q for \"--recover-timeout\" flag: want more than none", f.timeout)
	case f.settle <= 0:
		return fmt.Sprintf("invalid argument %q for \"--recover-settle\" flag: want more than none", f.settle)
	}
	return f.client.problem()
}

// fill reads the files into o.
func (f *recoverFlags) fill(o *leaf.Options, log *slog.Logger) (err error) {
	if len(f.from) == 0 {
		return nil
	}
	warnExposed(log, f.client.Creds, f.client.NKey, f.client.PasswordFile, f.client.TLS.Key)
	o.Recover = leaf.Recover{From: f.from, Timeout: f.timeout, Settle: f.settle}
	o.Recover.Connect, err = f.client.Options()
	return err
}

// recoverMetrics are read off a leaf's recovery; there are none of a leaf that has none.
var recoverMetrics = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*leaf.RecoverStatus) float64
}{
	{leafDesc("recovering", "1 until a leaf that takes its neighbours' items is as warm as it gets."), prometheus.GaugeValue, func(s *leaf.RecoverStatus) float64 {
		if s.Done() {
			return 0
		}
		return 1
	}},
	{leafDesc("recovery_incomplete", "1 if the recovery is over and not all that neighbours hold could be had."), prometheus.GaugeValue, func(s *leaf.RecoverStatus) float64 {
		if s.State == leaf.RecoverPartial || s.State == leaf.RecoverCold {
			return 1
		}
		return 0
	}},
	{leafDesc("recovered_items_total", "Items taken from neighbours."), prometheus.CounterValue, func(s *leaf.RecoverStatus) float64 { return float64(s.Items) }},
	{leafDesc("recovered_bytes_total", "Bytes of keys and values that came from neighbours."), prometheus.CounterValue, func(s *leaf.RecoverStatus) float64 { return float64(s.Bytes) }},
	{leafDesc("recovery_dropped_total", "Items dropped because neighbours had changed them."), prometheus.CounterValue, func(s *leaf.RecoverStatus) float64 { return float64(s.Dropped) }},
	{leafDesc("recovery_seconds", "How long the recovery took, or takes so far."), prometheus.GaugeValue, func(s *leaf.RecoverStatus) float64 { return s.Took.Seconds() }},
}

func collectRecovery(l *leaf.Leaf, emit func(prometheus.Metric)) {
	s, ok := l.Recovery()
	if !ok {
		return
	}
	for _, m := range recoverMetrics {
		emit(prometheus.MustNewConstMetric(m.desc, m.kind, m.read(&s), l.Name()))
	}
}

// recoveryView is what admin shows of a recovery.
type recoveryView struct {
	State   string           `json:"state"`
	Items   int64            `json:"items"`
	Of      int64            `json:"of"`
	Large   int64            `json:"large,omitempty"`
	Dropped int64            `json:"dropped"`
	Full    bool             `json:"full,omitempty"`
	Seconds float64          `json:"seconds"`
	Sources []recoverySource `json:"sources"`
}

type recoverySource struct {
	From     string `json:"from"`
	State    string `json:"state"`
	Items    int64  `json:"items"`
	Verified bool   `json:"verified"`
	Error    string `json:"error,omitempty"`
}

func viewRecovery(l *leaf.Leaf) *recoveryView {
	s, ok := l.Recovery()
	if !ok {
		return nil
	}
	v := &recoveryView{State: s.State, Items: s.Items, Of: s.Of, Large: s.Large, Dropped: s.Dropped, Full: s.Full, Seconds: s.Took.Seconds()}
	for _, src := range s.Sources {
		o := recoverySource{From: src.From, State: src.State, Items: src.Items, Verified: src.Verified}
		if src.Err != nil {
			o.Error = src.Err.Error()
		}
		v.Sources = append(v.Sources, o)
	}
	return v
}
