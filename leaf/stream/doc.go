// Package stream reads a leaf's items from elsewhere, and holds the lines in which they travel; engine/mc/frame documents the
// protocol at StreamRequest.
//
// Who calls it: leaf, which sends lines (AppendKey, AppendItem) and recovers from other leaves by Read; cmd, which lists keys.
//
// Read calls its function in the caller's goroutine, an item at a time; what it is given is valid during the call. A leaf
// sends no more than the window before it is acknowledged, so a reader may take its time: memory stays bounded, and the leaf is told
// that the reader lives. Any number of reads may go on at once over one connection, from one leaf as many as it allows.
//
// An error says whether it pays to try again: ErrBusy, ErrNoLeaf, ErrSilent, ErrRestarted and ErrLost may be different next
// time, from the beginning, and so may a Refused of a stream that had begun; another Refused will not. Items given before an error were right when they were sent, but there were more.
package stream
