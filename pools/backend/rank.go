// The one order of answers, for answers that never came too.

package backend

import (
	"errors"

	"github.com/tidepool-proxy/tidepool/engine/mc"
)

// Rank says how good p's outcome is; see mc.Rank. A timeout is better than a request that could not be sent: it may have
// been done.
func Rank(p *Pending) mc.Rank {
	switch {
	case p.Err == nil:
		return p.Resp.Rank()
	case errors.Is(p.Err, ErrTimeout), errors.Is(p.Err, ErrDisconnected), errors.Is(p.Err, ErrProtocol):
		return mc.RankTimeout
	}
	return mc.RankUnsent
}
