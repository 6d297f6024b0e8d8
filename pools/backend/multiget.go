// Multiget: whether a memcached is asked for several keys at once.

package backend

// Multiget says to which servers gets that queue up travel as one get of several keys.
type Multiget uint8

// The zero value is the first.
const (
	MultigetKnown  Multiget = iota // to those that greet as memcached 1.4 or newer does, once they are in use
	MultigetAlways                 // to this one, whatever it says
	MultigetNever                  // each get travels by itself, as it does from memcached's proxy
)
