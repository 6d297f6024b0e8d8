// A server with a user, and clients with and without.

package natsd

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

func TestStart(t *testing.T) {
	s := Start(t, func(o *server.Options) { o.Username, o.Password = "me", "secret" })
	nc, err := nats.Connect(s.ClientURL(), nats.UserInfo("me", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
	if nc, err := nats.Connect(s.ClientURL()); err == nil {
		nc.Close()
		t.Error("the changed options are not in force")
	}
}
