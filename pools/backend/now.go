// The clock of latencies.

package backend

import "time"

var start = time.Now()

// Now is the monotonic clock of Pending.Start and End, in nanoseconds since the process began.
func Now() int64 { return int64(time.Since(start)) }
