// Package natsd runs real NATS servers inside tests, in their process: such as a user has, and no leaf's own. The tests of whatever joins a
// NATS system call it: leaves, backends, the NATS face, the client. Any number may run at once, and tests may start them concurrently.
package natsd

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// patience bounds the start of a server.
const patience = 20 * time.Second

// Start runs a server on a port of 127.0.0.1 that the kernel chooses, until the test ends; change may alter its options. It may
// be shut down before.
func Start(t testing.TB, change ...func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true}
	for _, f := range change {
		f(o)
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("NATS server is not ready")
	}
	return s
}
