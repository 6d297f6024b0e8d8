// The metrics of leaves and of the proxy's own store, which is a leaf's.

package main

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidepool-proxy/tidepool/engine/mc/frame"
	"github.com/tidepool-proxy/tidepool/engine/stat"
	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/leaf/command"
)

// localName is the label of the proxy's own store where a leaf has its name.
const localName = "local"

func leafDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc(stat.LeafPrefix+name, help, []string{"leaf"}, nil)
}

// storeMetrics are read off what a store and its commands count.
var storeMetrics = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*command.Snapshot) int64
}{
	{leafDesc("items", "Items held."), prometheus.GaugeValue, func(s *command.Snapshot) int64 { return s.Store.Items }},
	{leafDesc("bytes", "Bytes held: keys, values and what is kept about them."), prometheus.GaugeValue, func(s *command.Snapshot) int64 { return s.Store.Bytes }},
	{leafDesc("limit_bytes", "Bytes that may be held."), prometheus.GaugeValue, func(s *command.Snapshot) int64 { return s.Store.Limit }},
	{leafDesc("evictions_total", "Items given up for memory."), prometheus.CounterValue, func(s *command.Snapshot) int64 { return s.Store.Evictions }},
	{leafDesc("hits_total", "Keys that were read and found."), prometheus.CounterValue, func(s *command.Snapshot) int64 { return s.GetHits }},
	{leafDesc("misses_total", "Keys that were read and not found."), prometheus.CounterValue, func(s *command.Snapshot) int64 { return s.GetMisses }},
	{leafDesc("sets_total", "Storage commands."), prometheus.CounterValue, func(s *command.Snapshot) int64 { return s.Sets }},
	{leafDesc("too_large_total", "Values refused because they are above the item limit."), prometheus.CounterValue, func(s *command.Snapshot) int64 { return s.TooLarge }},
}

// frameMetrics are read off what a leaf counts of the frame protocol.
var frameMetrics = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*leaf.Stats) float64
}{
	{leafDesc("frames_total", "Messages that arrived on the lanes."), prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.Frames) }},
	{leafDesc("requests_total", "Requests executed."), prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.Requests) }},
	{leafDesc("read_bytes_total", "Bytes of frames from proxies."), prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.BytesIn) }},
	{leafDesc("written_bytes_total", "Bytes of answers to proxies."), prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.BytesOut) }},
	{leafDesc("parked_total", "Times a frame waited because its proxy had not taken its answers."), prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.Parked) }},
	{leafDesc("lost_total", "Answers that could not be given to NATS."), prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.Lost) }},
	{leafDesc("refused_total", "Frames of which nothing was executed."), prometheus.CounterValue, refused},
	{leafDesc("pending_bytes", "Bytes of requests that wait."), prometheus.GaugeValue, func(s *leaf.Stats) float64 { return float64(s.Pending) }},
	{leafDesc("proxies", "Proxies known."), prometheus.GaugeValue, func(s *leaf.Stats) float64 { return float64(s.Proxies) }},
	{leafDesc("routes", "Other leaves of its cluster to whose servers there are routes."), prometheus.GaugeValue, func(s *leaf.Stats) float64 { return float64(s.Routes) }},
}

// streamMetrics are read off what a leaf counts of streams and flushes.
var streamMetrics = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*leaf.Stats) float64
}{
	{leafDesc("streams", "Streams of items under way: listings of keys, recoveries of other leaves."), prometheus.GaugeValue, func(s *leaf.Stats) float64 { return float64(s.Streams) }},
	{leafDesc("streams_total", "Streams begun."), prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.StreamsBegun) }},
	{leafDesc("streams_refused_total", "Streams asked for and not begun."), prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.StreamsRefused) }},
	{leafDesc("streams_cut_total", "Streams whose reader went before their end, or that the leaf's stop ended."), prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.StreamsCut) }},
	{leafDesc("streamed_items_total", "Items of the streams that have ended."), prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.StreamItems) }},
	{leafDesc("streamed_bytes_total", "Bytes of streams."), prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.StreamBytes) }},
	{leafDesc("flushes_total", "Flushes of a prefix or of all, beside flush_all."), prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.Flushes) }},
}

// ownerMetrics are read off what a leaf counts of changes of who owns which keys.
var ownerMetrics = []struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*leaf.Stats) float64
}{
	{
		leafDesc("epoch", "The epoch of the pool's membership that it goes by."),
		prometheus.GaugeValue, func(s *leaf.Stats) float64 { return float64(s.Epoch) },
	},
	{
		leafDesc("outdated_total", "Frames refused because they went by an older membership."),
		prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.Refused[frame.ReasonEpoch]) },
	},
	{
		leafDesc("elsewhere_total", "Requests that waited for what the previous owner of a key holds."),
		prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.Elsewhere) },
	},
	{
		leafDesc("handed_on_total", "Items given to new owners of their keys, by request."),
		prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.HandedOn) },
	},
	{
		leafDesc("filled_total", "Answers of previous owners that were taken: items, or that there is none."),
		prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.Filled) },
	},
	{
		leafDesc("pulled_total", "Items taken from previous owners before anybody asked for them."),
		prometheus.CounterValue, func(s *leaf.Stats) float64 { return float64(s.Pulled) },
	},
}

func refused(s *leaf.Stats) (n float64) {
	for _, r := range s.Refused {
		n += float64(r)
	}
	return n
}

// storeCollector shows one store under a leaf's name.
func storeCollector(name string, local *leaf.Local) prometheus.Collector {
	return stat.Collector(func(emit func(prometheus.Metric)) {
		s := local.Snapshot()
		for _, m := range storeMetrics {
			emit(prometheus.MustNewConstMetric(m.desc, m.kind, float64(m.read(&s)), name))
		}
	})
}

// leafCollectors show leaves: their stores and their end of the frame protocol.
func leafCollectors(leaves ...*leaf.Leaf) (out []prometheus.Collector) {
	for _, l := range leaves {
		out = append(out, storeCollector(l.Name(), l.Local()), stat.Collector(func(emit func(prometheus.Metric)) {
			s := l.Stats()
			for _, m := range slices.Concat(frameMetrics, streamMetrics, ownerMetrics) {
				emit(prometheus.MustNewConstMetric(m.desc, m.kind, m.read(&s), l.Name()))
			}
			collectRecovery(l, emit)
		}))
	}
	return out
}
