// Package face is the proxy's other face: applications send it requests over NATS in place of memcached's protocol. docs/nats.md
// says what they send; package wire has the names, package client is the other end.
//
// A Face subscribes to PREFIX.> in a queue group, so that proxies which serve the same prefix share the requests. It stands beside
// engine/server and does as that does: what it is sent becomes requests of memcached's protocol, which go to a server.Session in
// batches, so that routes, limits and counters are those of a client connection. cmd starts it after the engine and stops it
// before.
//
// The way of a request: NATS's goroutine puts the message into the intake (intake.go); a hand, which is a goroutine with
// a session of its own, takes what has gathered there (hand.go), writes it down as commands (ask.go), lets the session serve
// them, and publishes each answer when it is there (answer.go), not in order: a slow backend delays no request to another. While hands
// are busy further ones are made. Messages are therefore not executed in the order in which they were sent. Who needs an order waits
// for the answer.
//
// Who owns which bytes: a message is NATS's, made for us, and kept until it is answered; a hand's buffers are its own, and reused. An
// answer's value lies in the session's buffer and is copied by NATS before Batch.Each returns.
//
// What may run at once: all methods of Face.
package face
