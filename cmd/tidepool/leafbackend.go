// The way from a proxy's pools to leaves: engine knows nothing of NATS, so it is told here.

package main

import (
	"log/slog"

	"github.com/tidepool-proxy/tidepool/pools"
	"github.com/tidepool-proxy/tidepool/pools/backend"
	"github.com/tidepool-proxy/tidepool/pools/backend/leafnats"
)

// leafFactory makes the backends of one proxy's nats:// and tls:// addresses. They share NATS connections where they can.
func leafFactory(a leafnats.Access, log *slog.Logger) pools.Factory {
	conns := leafnats.NewConns(a)
	return func(s pools.Spec, tell func(backend.Event)) (backend.Backend, error) {
		addr := s.Addr
		addr.Name = "" // told apart from the address
		return leafnats.New(leafnats.Options{
			URL:            addr.URL(),
			LeafName:       s.Addr.Name,
			Label:          s.Label,
			Timeout:        s.ReadTimeout,
			ConnectTimeout: s.ConnectTimeout,
			QueueLimit:     s.DepthLimit,
			Down:           s.Down,
			Conns:          conns,
			OnEvent:        tell,
			Log:            log,
			Health: backend.HealthOptions{
				FailureLimit: s.FailureLimit,
				RetryMin:     s.RetryWait,
				FlapTime:     s.FlapTime,
				FlapRamp:     s.FlapRamp,
				FlapMax:      s.FlapMax,
			},
		})
	}
}
