package store

// Options configure a Store; the zero value of each field is documented by its default.
type Options struct {
	Memory  int64        // bytes for keys, values, overhead and index; 0 = 64 MiB
	MaxItem int          // largest value in bytes; 0 = 1 MiB
	Now     func() int64 // clock, Unix milliseconds; nil = the real one
}

// Item is what is stored under a key. Key and Value are valid only inside the transaction that gave them.
type Item struct {
	Key, Value []byte
	Flags      uint32 // client flags
	CAS        uint64
	Exp        int64 // Unix milliseconds when it stops being readable; 0 = never
	Access     int64 // Unix milliseconds of the last access before this one
	Bits       uint8 // BitFetched, BitStale, BitWon (recache token handed out)
}

// Bits of Item.Bits.
const (
	BitFetched uint8 = 1 << iota // has been read since it was stored
	BitStale                     // marked stale by a meta delete with I
	BitWon                       // a client holds the right to recache it
)
