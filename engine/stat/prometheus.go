// The metrics people see: names, labels, and how histograms become Prometheus ones.

package stat

import "github.com/prometheus/client_golang/prometheus"

// The metrics of the proxy. Dashboards and alerts rely on names and labels: they do not change.
var (
	RequestsTotal = desc("tidepool_requests_total", "Requests answered, by command and result (hit, miss, stored, error ...).", "cmd", "result")
	RouteSeconds  = desc("tidepool_route_seconds", "Time from a request's arrival to its answer, by route.", "route")

	BackendSeconds = desc("tidepool_backend_seconds", "Time from queueing a request for a backend to its answer.", "pool", "backend")
	BackendUp      = desc("tidepool_backend_up", "1 while requests are sent to the backend, 0 while it is marked bad.", "pool", "backend")

	BackendFailures = desc("tidepool_backend_failures_total", "Requests to backends that were not answered, by why.", "reason")

	ReloadsTotal      = desc("tidepool_reloads_total", "Loads of the configuration, by result (ok, error).", "result")
	ScriptErrorsTotal = desc("tidepool_script_errors_total", "Requests whose route raised an error or returned what is no response.")
	RefusedTotal      = desc("tidepool_requests_refused_total", "Requests refused because too many were under way.")
	InFlight          = desc("tidepool_requests_in_flight", "Requests under way.")
	UserTotal         = desc("tidepool_user_total", "Counters that scripts name with mcp.add_stat or mcp.counter.", "name")
	BackendOpened     = desc("tidepool_backend_connections_opened_total", "Connections opened to the backend.", "pool", "backend")
	Generation        = desc("tidepool_generation", "Number of the generation that serves new requests.")

	ConfigGeneration = desc("tidepool_config_generation", "How often the configuration had been put into etcd that serves.")
	ConfigNewest     = desc("tidepool_config_newest", "The same of the one that etcd holds; 0: none, or that is not known.")

	PoolMembers = desc("tidepool_pool_members", "Members of a discovered pool, by what they say of themselves: warming, ready, draining.", "pool", "state")
	PoolEpoch   = desc("tidepool_pool_epoch", "Epoch of a discovered pool's membership; 0: its source has none.", "pool")
	PoolApplied = desc("tidepool_pool_epoch_applied", "1 if no request is under way any more that went by an older membership.", "pool")
	PoolStale   = desc("tidepool_pool_stale", "1 while a discovered pool's membership is from disk and has not been confirmed.", "pool")

	TopologyConnected = desc("tidepool_topology_connected", "1 while the source of memberships answers.", "source")
	TopologyNews      = desc("tidepool_topology_last_news_seconds", "When the source was last heard, in seconds since 1970.", "source")
	TopologyChanges   = desc("tidepool_topology_changes_total", "Memberships taken from the source.", "source")
	TopologyRefused   = desc("tidepool_topology_refused_total", "Changes held back: a file with a mistake, or too many members lost at once while they answer.", "source")
	TopologyRewatches = desc("tidepool_topology_rewatches_total", "Watches begun again: compaction, a lost connection, a gap.", "source")
	TopologyLeases    = desc("tidepool_topology_leases_lost_total", "Leases lost and taken anew.", "source")
	TopologyConflicts = desc("tidepool_topology_conflicts_total", "Decisions that another proxy was the first to make.", "source")

	ConnectionsTotal    = desc("tidepool_connections_total", "Client connections accepted.", "listener")
	ConnectionsOpen     = desc("tidepool_connections_open", "Client connections open now.", "listener")
	ConnectionsRejected = desc("tidepool_connections_rejected_total", "Client connections refused because too many were open.", "listener")
	ConnectionsClosed   = desc("tidepool_connections_closed_total", "Client connections that the proxy ended, by reason: idle, slow (a request did not arrive whole), unread (answers were not taken), panic.", "reason")
	AcceptErrors        = desc("tidepool_accept_errors_total", "Failed attempts to accept a client, for want of file descriptors say.", "listener")
	BufferRefused       = desc("tidepool_buffer_refused_total", "Requests refused because the limits did not let them be buffered.")
	ReadBytesTotal      = desc("tidepool_read_bytes_total", "Bytes read from clients.", "listener")
	WrittenBytesTotal   = desc("tidepool_written_bytes_total", "Bytes written to clients.", "listener")
	BufferedBytes       = desc("tidepool_buffered_bytes", "Bytes buffered for clients, counted against the limit.")
)

// LeafPrefix begins the names of a leaf's metrics.
const LeafPrefix = "tidepool_leaf_"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// secondsBounds are the upper bounds of the Prometheus buckets, in seconds: what a cache in the same machine takes, up to
// what a dead backend takes.
var secondsBounds = []float64{
	50e-6, 100e-6, 200e-6, 300e-6, 500e-6, 750e-6, 1e-3, 1.5e-3, 2e-3, 3e-3, 5e-3, 7.5e-3, 10e-3, 20e-3, 30e-3, 50e-3,
	100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10, 30,
}

// Metric is the snapshot as a Prometheus histogram in seconds. An observation is counted below a bound if the whole of
// its bucket here is, so counts near a bound are up to 6 % of the value too strict, never too generous.
func (s *Snapshot) Metric(d *prometheus.Desc, labels ...string) prometheus.Metric {
	buckets := make(map[float64]uint64, len(secondsBounds))
	var below uint64
	i := 0
	for _, bound := range secondsBounds {
		for i < Buckets-1 { // the last bucket has no upper bound
			if _, hi := bounds(i); float64(hi)/1e9 > bound {
				break
			}
			below += s.Counts[i]
			i++
		}
		buckets[bound] = below
	}
	return prometheus.MustNewConstHistogram(d, s.Count, float64(s.Sum)/1e9, buckets, labels...)
}

// CounterMetric is v as a Prometheus counter.
func CounterMetric(d *prometheus.Desc, v uint64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

// GaugeMetric is v as a Prometheus gauge.
func GaugeMetric(d *prometheus.Desc, v float64, labels ...string) prometheus.Metric {
	return prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// Collector is a prometheus.Collector that calls a function at each scrape. It describes nothing beforehand, because pools and
// routes come and go with generations.
type Collector func(emit func(prometheus.Metric))

// Describe sends nothing: an unchecked collector.
func (Collector) Describe(chan<- *prometheus.Desc) {}

// Collect calls c.
func (c Collector) Collect(ch chan<- prometheus.Metric) { c(func(m prometheus.Metric) { ch <- m }) }
