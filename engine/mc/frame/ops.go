// Operations: streams of a leaf's items, and flushing it, beside frames.

package frame

import "strconv"

// StreamSubject is where a leaf takes StreamRequests, and acknowledgements of the streams that came of them. One token more
// makes the reply subject of what a stream sends: nobody answers there but NATS itself, when the reader is gone.
func StreamSubject(leaf string) string { return "tp." + strconv.Itoa(Version) + "." + leaf + ".stream" }

// FlushSubject is where a leaf takes FlushRequests.
func FlushSubject(leaf string) string { return "tp." + strconv.Itoa(Version) + "." + leaf + ".flush" }

// What a stream brings, and in what order.
const (
	StreamKeys    = "keys"    // an HD line for each item
	StreamItems   = "items"   // an ms line and its value for each item
	StreamHottest = "hottest" // an order: what was read most comes first, in five classes
)

// StreamCancel is acknowledged by who wants nothing more of a stream.
const StreamCancel = ^uint64(0)

// StreamCut marks, as Millis, the last frame of a stream that is not complete.
const StreamCut = 1

// StreamBusy is the whole text of a leaf that has as many streams as it wants: ask again later.
const StreamBusy = "SERVER_ERROR too many streams"

// StreamRequest asks a leaf for its items, as JSON. They come to the reply subject as frames with FlagAnswer, whose ID is the
// stream's and whose Acked is how many bytes of bodies came before this one, so that a receiver sees that it lost none.
// The bodies end to end, cut anywhere, are
//
//	HD k<key> s<size> t<ttl> c<cas> f<flags> O<more> [b] [X] [Z]     for keys
//	ms <key> <size> T<ttl> E<cas> F<flags> O<more> [b]               for items; the value and CRLF follow
//	EN                                                               it is complete, and nothing follows
//
// One that cannot be completed, or not begun, ends with a frame whose Millis are StreamCut and whose body is nothing but a line,
// CLIENT_ERROR or SERVER_ERROR and why, wherever the bytes before it were cut.
//
// An ms line is what any leaf or memcached takes as it is: T is 0 for ever, or seconds, or beyond 30 days a Unix time. <more>
// is what ms has no flag for, in base 36 with points between: the item's bits (store.BitFetched and the rest), its heat,
// milliseconds since its last access, and milliseconds that it has left (0: for ever).
//
// Who reads acknowledges: an ack frame to StreamSubject with the stream's ID and instance, whose Acked is how many bytes of
// bodies it has taken; at once for a frame without a body, which says that the stream lives. One comes first of all, and no
// item before it is acknowledged; then about one a second while nothing else comes. More than Window are never on their way. Who is silent for some seconds, or
// takes nothing of a full window for a minute, is given up. An ack with a reply subject for another instance is refused there
// (ReasonInstance): the leaf was restarted.
type StreamRequest struct {
	Mode   string `json:"mode"`
	Order  string `json:"order,omitempty"`  // "": as they lie, which is cheaper
	Prefix []byte `json:"prefix,omitempty"` // of keys
	Limit  int64  `json:"limit,omitempty"`  // items; 0: all
	Window int64  `json:"window,omitempty"` // bytes not acknowledged; 0, or more than the leaf allows: its own limit; at least 4 KiB
	Past   *Past  `json:"past,omitempty"`   // items whose keys the leaf has lost, and no others; nil: those that are its own
}

// Past says which items that a leaf holds from when it owned their keys are meant. A leaf that does not know the epoch yet is busy.
type Past struct {
	Epoch uint64 `json:"epoch"` // the membership that the asker goes by
	Heir  string `json:"heir"`  // who owns their keys now
	Since uint64 `json:"since"` // and has not for longer than from this epoch on
}

// FlushRequest asks a leaf to make items unreadable, as JSON: those whose keys begin with Prefix, or all.
type FlushRequest struct {
	Prefix []byte `json:"prefix,omitempty"`
	All    bool   `json:"all,omitempty"` // without Prefix, so that nobody flushes all by leaving something out
}

// FlushReply says that it was done, or why not.
type FlushReply struct {
	Instance uint64 `json:"instance,string"`
	Error    string `json:"error,omitempty"` // "": done
}
