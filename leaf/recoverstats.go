// What a recovery tells the stats command.

package leaf

import (
	"strconv"
	"time"

	"github.com/tidepool-proxy/tidepool/leaf/command"
)

// appendStats appends the leaf's own lines to stats, and all about its recovery to `stats recovery`.
func (l *Leaf) appendStats(dst []byte, sub string) ([]byte, bool) {
	if sub != "" && sub != "recovery" {
		return dst, false
	}
	st, ok := l.Recovery()
	if !ok {
		return dst, sub != ""
	}
	dst = command.AppendStat(dst, "recovery_state", st.State)
	dst = command.AppendStatInt(dst, "recovery_items", st.Items)
	if sub == "" {
		return dst, true
	}
	dst = command.AppendStatInt(dst, "recovery_of", st.Of)
	dst = command.AppendStatInt(dst, "recovery_known", st.Known)
	dst = command.AppendStatInt(dst, "recovery_large", st.Large)
	dst = command.AppendStatInt(dst, "recovery_dropped", st.Dropped)
	dst = command.AppendStatInt(dst, "recovery_bytes", st.Bytes)
	dst = command.AppendStat(dst, "recovery_full", yesNo(st.Full))
	dst = command.AppendStatInt(dst, "recovery_ms", int64(st.Took/time.Millisecond))
	for i, s := range st.Sources {
		p := "recovery:" + strconv.Itoa(i) + ":"
		dst = command.AppendStat(dst, p+"from", s.From)
		dst = command.AppendStat(dst, p+"state", s.State)
		dst = command.AppendStatInt(dst, p+"items", s.Items)
		dst = command.AppendStatInt(dst, p+"of", s.Of)
		dst = command.AppendStat(dst, p+"verified", yesNo(s.Verified))
		if s.Err != nil {
			dst = command.AppendStat(dst, p+"error", strconv.Quote(s.Err.Error()))
		}
	}
	return dst, true
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
