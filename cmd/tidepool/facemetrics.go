// The metrics of the NATS face.

package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidepool-proxy/tidepool/engine/face"
	"github.com/tidepool-proxy/tidepool/engine/stat"
)

func faceDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tidepool_face_"+name, help, labels, nil)
}

var faceRequests = faceDesc("requests_total", "Requests that came over NATS, by operation and status.", "op", "status")

// faceMetrics are read off what a face counts.
var faceMetrics = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*face.Stats) float64
}{
	{faceDesc("connected", "1 while NATS can be reached."), prometheus.GaugeValue, func(s *face.Stats) float64 {
		if s.Connected {
			return 1
		}
		return 0
	}},
	{faceDesc("in_flight", "Requests that are not answered yet."), prometheus.GaugeValue, func(s *face.Stats) float64 { return float64(s.InFlight) }},
	{faceDesc("held_bytes", "Bytes of requests that are not answered yet."), prometheus.GaugeValue, func(s *face.Stats) float64 { return float64(s.Bytes) }},
	{faceDesc("refused_total", "Requests refused because too many were under way."), prometheus.CounterValue, func(s *face.Stats) float64 { return float64(s.Refused) }},
	{faceDesc("lost_total", "Answers that could not be given to NATS."), prometheus.CounterValue, func(s *face.Stats) float64 { return float64(s.Lost) }},
	{faceDesc("dropped_total", "Requests that NATS's client dropped because they came too fast."), prometheus.CounterValue, func(s *face.Stats) float64 { return float64(s.Dropped) }},
	{faceDesc("panics_total", "Batches of requests lost to a panic."), prometheus.CounterValue, func(s *face.Stats) float64 { return float64(s.Panics) }},
}

// faceCollectors show a face; none if there is none.
func faceCollectors(f *face.Face) []prometheus.Collector {
	if f == nil {
		return nil
	}
	return []prometheus.Collector{stat.Collector(func(emit func(prometheus.Metric)) {
		s := f.Stats()
		for _, r := range s.Requests {
			emit(stat.CounterMetric(faceRequests, r.N, r.Op, r.Status))
		}
		for _, m := range faceMetrics {
			emit(prometheus.MustNewConstMetric(m.desc, m.kind, m.read(&s)))
		}
	})}
}
