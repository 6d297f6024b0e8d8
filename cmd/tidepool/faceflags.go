// The flags of the NATS face, and a face made of them.

package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/spf13/pflag"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/face"
	"github.com/tidepool-proxy/tidepool/engine/face/wire"
	"github.com/tidepool-proxy/tidepool/engine/server"
)

// faceFlags say where applications speak NATS to the proxy.
type faceFlags struct {
	clientFlags
	url, subjects, tag string
	connect            []nats.Option // made by check
}

func (f *faceFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.url, "nats-face", "", "`URL` of a NATS system where applications may send requests, too: several with commas between")
	fs.StringVar(&f.subjects, "nats-face-prefix", wire.DefaultPrefix, "what the `subjects` of such requests begin with: PREFIX.KEY")
	fs.StringVar(&f.tag, "nats-face-tag", "", "the `tag` whose routes decide on them, as a listener's")
	f.clientFlags.add(fs, "nats-face-", "--nats-face")
}

// problem says what cannot be meant, or "".
func (f *faceFlags) problem(set func(string) bool) string {
	if f.url == "" {
		for _, name := range []string{"prefix", "tag", "creds", "nkey", "user", "password-file", "tls-cert", "tls-key", "tls-ca"} {
			if set("nats-face-" + name) {
				return fmt.Sprintf("--nats-face-%s goes with --nats-face", name)
			}
		}
		return ""
	}
	if strings.Contains(f.url, "@") {
		return "a password in --nats-face shows in the list of processes: want --nats-face-user and --nats-face-password-file, --nats-face-creds or --nats-face-nkey"
	}
	if err := wire.CheckPrefix(f.subjects); err != nil {
		return fmt.Sprintf("invalid argument %q for \"--nats-face-prefix\" flag: %v", f.subjects, err)
	}
	if f.tag != "" {
		if err := server.CheckTag(f.tag); err != nil {
			return fmt.Sprintf("invalid argument %q for \"--nats-face-tag\" flag: %v", f.tag, err)
		}
	}
	return f.clientFlags.problem()
}

// read reads the files that the flags name.
func (f *faceFlags) read(log *slog.Logger) (err error) {
	warnExposed(log, f.Creds, f.NKey, f.PasswordFile, f.TLS.Key)
	if f.connect, err = f.Options(); err != nil {
		return fmt.Errorf("cannot connect to --nats-face: %w", err)
	}
	return nil
}

// others tells the engine who else sends it requests.
func (f *faceFlags) others() []engine.Other {
	if f.url == "" {
		return nil
	}
	return []engine.Other{{Name: "NATS face " + f.subjects + ".>", Tag: f.tag, Commands: face.Commands()}}
}

// start serves p's routes over NATS; nil if nobody asked for that.
func (f *proxyFlags) startFace(p *engine.Proxy, log *slog.Logger) (*face.Face, error) {
	if f.face.url == "" {
		return nil, nil
	}
	n, err := face.Start(face.Options{
		URL:         f.face.url,
		Connect:     f.face.connect,
		Handler:     p,
		Prefix:      f.face.subjects,
		Tag:         f.face.tag,
		MaxInFlight: f.maxInFlight,
		MaxBytes:    f.maxBuffered,
		Log:         log,
	})
	if err != nil {
		return nil, err
	}
	log.Info("NATS face serves", "subjects", f.face.subjects+".>", "queue", wire.Queue, "connected", n.Connected())
	return n, nil
}
