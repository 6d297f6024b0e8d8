// Package server is the client side of the proxy: listeners and connections, bytes in, batches of requests out.
//
// A Server accepts connections on any number of TCP and unix listeners. Each connection has one goroutine, which reads
// what has arrived, cuts it into requests (engine/mc), gives up to MaxBatch of them to the connection's Session as one
// Batch, writes the answers in one write, goes on with what is left in its buffer, and only then reads again. The engine
// implements Handler and Session; this package knows nothing of routes, pools or Lua.
//
// Who owns which bytes: the requests of a Batch point into the connection's read buffer, which is neither moved nor
// reused before Serve returns. Batch.Reqs and Batch.Out belong to the session while Serve runs and to the connection
// otherwise; both go back to a pool when the connection waits for its client, so that an idle connection holds no buffer.
//
// What may run at once: all methods of Server. The methods of one Session and its Batch are called by the connection's
// goroutine only, one at a time.
package server
