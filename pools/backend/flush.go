// Flushing more than a request can say.

package backend

import "context"

// PrefixFlusher is a Backend that can flush a part of its keys; memcached servers cannot.
type PrefixFlusher interface {
	Backend
	// FlushPrefix makes every item whose key begins with prefix (not empty) unreadable, and returns when it is done.
	FlushPrefix(ctx context.Context, prefix []byte) error
}
