// Package store keeps a leaf's items in a fixed amount of memory: exact like a map, bounded like a cache.
//
// leaf/command calls it: Begin locks a key, Get, Put and the rest act on it, End unlocks. Everything may be called by any
// goroutine at any time; a process may have as many stores as it likes. Bytes given to the store are copied; bytes given by
// it are its own and valid only inside the transaction.
//
// # Shape
//
// A shard (at most 64) is a lock, an index and segments. A segment is a run of items, 64 KiB at 256 MiB of memory, outside
// the garbage-collected heap; what is written is appended to its shard's fresh segment. The unit that ristretto keeps or
// evicts is the segment. In the life of one there are three parts:
//
//	fresh -> window -> main -> reclaimed
//
// A full segment joins the window, a queue of 10 % of memory. The demoter, one goroutine, takes the oldest out of it
// and sets them in ristretto, waits until ristretto has judged them, and reclaims what ristretto evicted or refused: items
// that were read since they were last moved are copied to the shard's survivor segment, at most 60 % of the segment, the
// most read first; the rest is evicted. (A segment of which more was read stays whole once.) Survivors pass the window
// again, so every write and every item that proved itself gets its time there: this is W-TinyLFU with segments for
// entries. Segments of which a quarter is dead (overwritten, deleted, expired) are rewritten before anything is evicted.
//
// What is readable is decided by the index alone, which changes only under the shard's lock. ristretto's own guarantees,
// which are weak (a Set is visible some time later, may be dropped, an update may be lost when its key is evicted), cannot
// make a read wrong: each segment has a key of its own that is set once, never updated, and whatever ristretto forgets is
// still in the index until its segment is reclaimed. ristretto's callbacks only note segments in a list; no lock is held
// over a call of ristretto but in End, over Get, which waits for nothing that waits for a shard.
//
// # Why segments
//
// Measured on ristretto v2.4.2: an entry costs 172 bytes of heap in its two maps and 1.2 µs of CPU per Set, before there is
// an item. With 100-byte values and 16-byte keys that makes 320 bytes an item where memcached takes 192. Here an item takes
// 32 bytes of header, its key and value, some 10 of index, and its share of open segments, reserve and ristretto: 172 of
// the limit. Hit ratios, cache-aside, 64 MiB, 3.4 million keys, 6.8 million gets of which the second half counts:
//
//	                            Zipf 0.9   Zipf 1.1   30 % scan   hot set jumps   hot set drifts
//	memcached 1.6.18              0.669      0.904       0.423        0.567           0.429
//	ristretto entry per item      0.639      0.884       0.423        0.547           0.159
//	segments                      0.693      0.911       0.453        0.605           0.468
//
// Window shares from 5 to 40 %, survivors from 30 to 70 %, segments from 16 to 64 KiB and 4 to 32 counters change the third
// decimal. Telling ristretto of one read in four changes nothing and saves 15 % of a get. BenchmarkHitRatio, BenchmarkBytes,
// BenchmarkGet and BenchmarkSet print the figures of the machine at hand.
//
// # Memory
//
// Every byte is counted before it is taken: segments whole, large items in pages, index tables, and at Open what ristretto
// and the descriptors may come to. The count never passes the limit. The demoter keeps a reserve of 1/64 free; a writer
// that still finds none reclaims a segment itself, the oldest of a shard, never of the newest 2 % of memory while there is
// anything else: it is slowed by that work, no write is lost. Segments lie in one reservation of address space as large as
// the limit, items above a quarter segment in mappings of their own.
//
// # Recovery
//
// A store that starts may take its neighbours' items while it serves (Recovery, recover.go). Its type comment says what is sure
// and on what that rests.
//
// # Locks
//
// A shard's lock comes first; the locks of window, memory and the demoter's lists come after it and are held over nothing.
// Two shards' locks are held together only by a writer in want of memory, which tries the second without waiting.
package store
