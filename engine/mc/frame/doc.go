// Package frame is the envelope in which commands and answers travel over NATS: a fixed header of 48 bytes,
// little-endian, then memcached requests end to end, or their answers end to end in the same order.
//
//	 0 magic "TP"    2 version u8    3 flags u8    4 part u16 (from 0)    6 parts u16 (at least 1)
//	 8 instance u64  16 frame id u64  24 epoch u64  32 milliseconds left u32, or the reason of a refusal
//	36 body length of this part u32  40 acked u64
//
// Who calls it: pools/backend/leafnats, which sends frames and reads answers, and leaf, which does the reverse. A
// message too large for the NATS server goes in numbered parts under one id (Parts, AppendPart) and is put together
// by an Assembler.
//
// Beside frames the package names the subjects and the JSON of hello, by which a proxy learns a leaf's instance, limits
// and versions before it sends it anything.
//
// Concurrency: nothing is shared; an Assembler belongs to one goroutine at a time.
//
// Ownership: Parse gives a body inside the message. An Assembler keeps the bodies of parts, uncopied, until their frame
// is whole, so the caller must not reuse a message's memory (nats.go never does).
package frame
