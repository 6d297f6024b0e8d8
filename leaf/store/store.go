// The store: options, layout, opening and closing.

package store

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"
)

// ErrTooLarge says that key and value exceed the item limit.
var ErrTooLarge = errors.New("cannot store item: too large")

// ErrNoMemory says that no memory could be freed for an item; the limit is far too small for what is being written.
var ErrNoMemory = errors.New("cannot store item: out of memory")

// ErrClosed says that the store was closed.
var ErrClosed = errors.New("cannot store item: store is closed")

// Options configure a Store; the zero value of each field is documented by its default.
type Options struct {
	Memory   int64        // bytes for keys, values, overhead and index, at least 2 MiB; 0 = 64 MiB
	MaxItem  int          // largest key and value together in bytes, at most Memory/4; 0 = 1 MiB, or Memory/4 if that is less
	Now      func() int64 // clock, Unix milliseconds; nil = the real one
	FirstCAS uint64       // the first CAS number that is given, and then each; 0 = by the clock, so that none from before a restart comes again
	CASSpace uint8        // without FirstCAS: numbers leave this remainder by CASSpaces; stores that recover from each other want different ones
	Evicted  func(Item)   // called for each readable item that goes for want of memory, its shard locked: it must not call the store; nil = nobody asks
	Segment  int          // bytes that are evicted in one go, a power of two, 16 KiB to 4 MiB; 0 = by Memory, 64 KiB up to 256 MiB
	NoEvict  bool         // nothing goes for want of memory: ErrNoMemory instead, as memcached -M
	NoCAS    bool         // every item's CAS number is 0, as memcached -C
}

const (
	minMemory = 2 << 20
	maxMemory = 256 << 30 // what 32-bit refs reach
)

func (o *Options) validate() error {
	if o.Memory == 0 {
		o.Memory = 64 << 20
	}
	if o.Memory < minMemory || o.Memory > maxMemory {
		return fmt.Errorf("cannot open store: memory %d: want %d to %d bytes", o.Memory, minMemory, int64(maxMemory))
	}
	if o.MaxItem == 0 {
		o.MaxItem = int(min(1<<20, o.Memory/4))
	}
	if o.MaxItem < 1 || int64(o.MaxItem) > o.Memory/4 {
		return fmt.Errorf("cannot open store: item limit %d: want 1 to a quarter of memory, %d bytes", o.MaxItem, o.Memory/4)
	}
	if n := o.Segment; n != 0 && (n < 16<<10 || n > maxSegment || n&(n-1) != 0 || int64(n) > o.Memory/32) {
		return fmt.Errorf("cannot open store: segment %d: want a power of two, 16 KiB to 4 MiB, at most a 32nd of memory", n)
	}
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().UnixMilli() }
	}
	return nil
}

// Sizes and shares. Those that bear on the hit ratio were chosen by measurement: see the package comment.
const (
	maxShards          = 64
	segmentsPerShard   = 32 // at least, before another shard pays
	minSegment         = 64 << 10
	maxSegment         = 4 << 20
	windowPercent      = 10 // of memory
	keepPercent        = 60 // of a reclaimed segment
	reserveShare       = 64 // of memory, kept free for writers
	countersPerSegment = 8  // of TinyLFU; also the reads told per segment after which it halves them
	readsPerNote       = 4  // ristretto is told of one read in so many; a power of two
)

// Store holds items. Safe for concurrent use.
type Store struct {
	o    Options
	now  func() int64
	base int64 // Unix ms that item access times count from
	seed maphash.Seed

	mem        *memory
	shards     []shard
	shardShift uint // of a hash: its top bits are the shard's number
	offBits    uint // of a ref: its low bits are an offset
	largeFrom  int  // items of more bytes get a segment of their own
	keep       int  // bytes that a reclaimed segment's survivors may take

	window       window
	windowTarget int64
	sealed       atomic.Int64 // bytes of all segments that were ever filled by writes
	reserve      int64        // bytes that the demoter keeps free for writers
	roomTurn     atomic.Uint32
	newest       int64 // so many bytes, the last written, are never evicted
	cache        *ristretto.Cache[uint64, *segment]
	mainBytes    atomic.Int64 // of segments that ristretto was given and that are not dead

	cas        atomic.Uint64 // the last number given
	casStep    uint64
	lastID     atomic.Uint32
	epoch      atomic.Uint32 // flush.go says what these five are for
	from       atomic.Uint32
	names      atomic.Pointer[prefixes]
	flushAt    atomic.Int64
	flushMu    sync.Mutex
	sweepAll   atomic.Bool
	recovering atomic.Bool
	keeper     atomic.Pointer[keeper] // age.go; written with flushMu
	warms      atomic.Bool            // fills are taken
	warmth     atomic.Uint32
	closeOnce  sync.Once

	// The demoter's.
	wake, stop, done                   chan struct{}
	ask                                chan func() // tests have it run things
	victims, refused, holes, forgotten list
	batch                              []*segment
	turn                               int
}

// Open makes a store. It has goroutines until Close.
func Open(o Options) (*Store, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s := &Store{o: o, now: o.Now, seed: maphash.MakeSeed(), base: o.Now()}
	s.firstCAS()
	s.ask = make(chan func())
	s.wake, s.stop, s.done = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	segSize := s.layOut()
	mem, err := openMemory(o.Memory, segSize)
	if err != nil {
		return nil, fmt.Errorf("cannot open store: %w", err)
	}
	s.mem = mem
	segments := int(o.Memory) / segSize
	if err := s.openMain(segments); err != nil {
		mem.close()
		return nil, fmt.Errorf("cannot open store: %w", err)
	}
	s.mem.used.Store(s.fixedBytes(segments))
	go s.demoter()
	return s, nil
}

// layOut fixes every size that follows from the limit, and makes the shards.
func (s *Store) layOut() (segSize int) {
	limit := int(s.o.Memory)
	segSize = min(max(minSegment, 1<<bits.Len(uint(limit/4096-1))), maxSegment)
	if s.o.Segment > 0 {
		segSize = s.o.Segment
	}
	shards := min(max(1, limit/segSize/segmentsPerShard), maxShards)
	shards = 1 << (bits.Len(uint(shards)) - 1)
	s.shards = make([]shard, shards)
	s.shardShift = uint(64 - bits.TrailingZeros(uint(shards)))
	for i := range s.shards {
		s.shards[i] = shard{s: s, number: uint32(i), index: makeIndex(indexMin), segs: make([]*segment, 1)}
	}
	s.offBits = uint(bits.TrailingZeros(uint(segSize / itemAlign)))
	s.largeFrom = segSize / 4
	s.keep = segSize * keepPercent / 100
	s.reserve = max(s.o.Memory/reserveShare, int64(4*segSize))
	s.newest = s.o.Memory / 50
	s.windowTarget = s.o.Memory * int64(windowPercent) / 100
	return segSize
}

// fixedBytes is what the store takes before it holds anything, for so many segments at most.
func (s *Store) fixedBytes(segments int) int64 {
	const (
		setBuffer  = 32 << 10 * 8 // ristretto's channel
		counter    = 5            // bytes of sketch and bloom filter
		perSegment = 352          // 172 in ristretto's two maps (measured), the descriptor, its slot
		small      = 64 << 10
	)
	counters := 1 << bits.Len(uint(segments*countersPerSegment-1))
	return setBuffer + small + int64(counters*counter+segments*perSegment) + int64(len(s.shards))*indexBytes(indexMin)
}

// Close ends the store's goroutines and frees its memory. Transactions begun later find nothing and store nothing.
func (s *Store) Close() {
	s.closeOnce.Do(func() {
		close(s.stop)
		<-s.done
		for i := range s.shards {
			s.shards[i].close()
		}
		s.cache.Close() // no transaction tells it of reads any more
		s.mem.close()
	})
}

func (s *Store) hash(key []byte) uint64 { return maphash.Bytes(s.seed, key) }

func tagOfHash(h uint64) uint32 { return uint32(h) }

// segmentID makes ristretto's key for a segment. Its low bits are dense, so that no two live segments share a counter of
// the TinyLFU sketch, all of whose rows go by the key's low bits; its high bits are new each time.
func (s *Store) segmentID(sh *shard, slot uint32) uint64 {
	return uint64(s.lastID.Add(1))<<32 | uint64(slot*uint32(len(s.shards))+sh.number)
}

// ticks turns a time into an item's access time.
func (s *Store) ticks(now int64) uint32 { return uint32(max(0, now-s.base) * 16 / 1000) }

func (s *Store) itemOf(b slot) Item {
	return Item{
		Key: b.key(), Value: b.value(), Flags: b.flags(), CAS: b.cas(), Exp: b.exp(),
		Access: s.base + int64(b.access())*1000/16, Bits: b.bits(),
	}
}
