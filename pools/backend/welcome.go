// Welcoming: what is known of a backend from before it was a member.

package backend

// Welcomer is a Backend that goes by what it has found itself as long as it hears nothing else.
type Welcomer interface {
	Backend
	// Welcome is called when the backend has become a member of a pool, which it may have been before: somebody knows it to be there. If it is held for
	// down it is tried at once, and that it was marked bad before does not count. It must not block.
	Welcome()
}
