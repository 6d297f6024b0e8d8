// What a face is told, and what it refuses to be told.

package face

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/tidepool-proxy/tidepool/engine/face/wire"
	"github.com/tidepool-proxy/tidepool/engine/server"
)

// Options of a Face. URL and Handler must be set.
type Options struct {
	URL     string         // of the NATS system; several with commas between
	Connect []nats.Option  // as whom, and by which certificates
	Handler server.Handler // the engine
	Prefix  string         // what subjects begin with; "": cache
	Tag     string         // which routes decide, as a listener's tag does

	MaxInFlight int   // requests that are not answered yet; more are refused. 0: 65536
	MaxBytes    int64 // of their payloads. 0: 512 MiB

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: slog.Default
}

// withDefaults gives o with what was not said, or says what is wrong with it.
func (o Options) withDefaults() (Options, error) {
	if o.URL == "" || o.Handler == nil {
		return o, errors.New("want a URL and a handler")
	}
	if o.Prefix == "" {
		o.Prefix = wire.DefaultPrefix
	}
	if err := wire.CheckPrefix(o.Prefix); err != nil {
		return o, err
	}
	if o.Tag != "" {
		if err := server.CheckTag(o.Tag); err != nil {
			return o, err
		}
	}
	if o.MaxInFlight < 0 || o.MaxBytes < 0 {
		return o, fmt.Errorf("limits %d and %d: want none below 0", o.MaxInFlight, o.MaxBytes)
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = 65536
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = 512 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o, nil
}
