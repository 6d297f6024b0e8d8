// Who is presented to a NATS system: by credentials, nkey, or name and password.

package access

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Client is who connects. At most one of Creds, NKey and User is of use; the zero value is nobody in particular.
type Client struct {
	TLS          TLS
	Creds        string // a file of credentials, as nsc makes them: a JWT and the seed that belongs to it
	NKey         string // a file that holds a user's seed (SU...)
	User         string
	PasswordFile string // User's
}

// Auth presents the client; nil if it is nobody in particular. The files are read now, to see whether they can be, and again for
// each connection; but NKey is read once, since nats.go cannot be told of another public key later.
func (c Client) Auth() (nats.Option, error) {
	switch {
	case c.Creds != "":
		if err := checkCreds(c.Creds); err != nil {
			return nil, fmt.Errorf("cannot use credentials %q: %w", c.Creds, err)
		}
		return nats.UserCredentials(c.Creds), nil
	case c.NKey != "":
		o, err := nkeyOption(c.NKey)
		if err != nil {
			return nil, fmt.Errorf("cannot use nkey %q: %w", c.NKey, err)
		}
		return o, nil
	case c.User != "":
		return passwordOption(c.User, c.PasswordFile)
	}
	return nil, nil
}

// Options is all that a connection wants, for who needs no difference.
func (c Client) Options() ([]nats.Option, error) {
	var all []nats.Option
	auth, err := c.Auth()
	if err != nil {
		return nil, err
	}
	if auth != nil {
		all = append(all, auth)
	}
	if c.TLS.Any() {
		o, err := c.TLS.Client()
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

// nkeyOption presents an nkey. nats.NkeyOptionFromSeed would read the seed again for each signature, and one that has been put in its
// place does not belong to the public key that goes with it: the client would be shut out though its old key is still good.
func nkeyOption(path string) (nats.Option, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	kp, err := userKey(b)
	if err != nil {
		return nil, err
	}
	pub, err := kp.PublicKey()
	if err != nil {
		return nil, err
	}
	return nats.Nkey(pub, kp.Sign), nil
}

// passwordOption presents a name and what its file holds at the time; what it held last, if it cannot be read.
func passwordOption(user, path string) (nats.Option, error) {
	first, err := ReadSecret(path)
	if err != nil {
		return nil, err
	}
	var last atomic.Pointer[string]
	last.Store(&first)
	return nats.UserInfoHandler(func() (string, string) {
		if s, err := ReadSecret(path); err == nil {
			last.Store(&s)
		}
		return user, *last.Load()
	}), nil
}

func checkCreds(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := nkeys.ParseDecoratedJWT(b)
	if err != nil {
		return err
	}
	claims, err := jwt.DecodeUserClaims(text)
	if err != nil {
		return fmt.Errorf("no user's JWT is in it (%w)", err)
	}
	if claims.Expires > 0 && time.Now().Unix() > claims.Expires {
		return fmt.Errorf("they expired at %s", time.Unix(claims.Expires, 0).UTC().Format(time.RFC3339))
	}
	kp, err := userKey(b)
	if err == nil {
		kp.Wipe()
	}
	return err
}

// userKey finds a user's seed in a file's text.
func userKey(b []byte) (nkeys.KeyPair, error) {
	kp, err := nkeys.ParseDecoratedUserNKey(b)
	if err != nil {
		return nil, fmt.Errorf("no user's seed (SU...) is in it (%w)", err)
	}
	return kp, nil
}
