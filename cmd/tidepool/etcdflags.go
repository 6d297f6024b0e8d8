// The flags that say where etcd is, for all commands that ask it, and the argument that stands for a configuration in it.

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/tidepool-proxy/tidepool/engine/topo/etcd"
)

// passwordVariable may hold the password of --etcd-user.
const passwordVariable = "TIDEPOOL_ETCD_PASSWORD"

// defaultEtcdPrefix and defaultConfigKey are where everything lies if nothing else is said.
const (
	defaultEtcdPrefix = "/tidepool"
	defaultConfigKey  = defaultEtcdPrefix + "/config"
)

// etcdFlags are those of any command. No flag takes the password: a list of processes shows flags.
type etcdFlags struct {
	endpoints     []string
	prefix        string
	cert, key, ca string
	user          string
	passwordFile  string
}

func (f *etcdFlags) add(fs *pflag.FlagSet) {
	fs.StringSliceVar(&f.endpoints, "etcd", nil, "`addresses` of etcd, separated by commas: host:port or https://host:port")
	fs.StringVar(&f.prefix, "etcd-prefix", defaultEtcdPrefix, "what all keys in etcd begin with")
	fs.StringVar(&f.cert, "etcd-cert", "", "`file` of the certificate to present to etcd, in PEM")
	fs.StringVar(&f.key, "etcd-key", "", "`file` of its key")
	fs.StringVar(&f.ca, "etcd-ca", "", "`file` of the authorities to check etcd by")
	fs.StringVar(&f.user, "etcd-user", "", "user `name` to present to etcd")
	fs.StringVar(&f.passwordFile, "etcd-password-file", "", "`file` with the password of --etcd-user (default: the variable "+passwordVariable+")")
}

// given reports whether etcd is to be asked at all.
func (f *etcdFlags) given() bool { return len(f.endpoints) > 0 }

// problem says what cannot be meant, or "".
func (f *etcdFlags) problem() string {
	switch {
	case !f.given() && (f.cert != "" || f.ca != "" || f.user != ""):
		return "want --etcd with the other flags of etcd"
	case (f.cert == "") != (f.key == ""):
		return "want --etcd-cert and --etcd-key together"
	case f.user == "" && f.passwordFile != "":
		return "want --etcd-user with --etcd-password-file"
	}
	return ""
}

// options are those of a source; what kind of process it is for is not said yet.
func (f *etcdFlags) options(log *slog.Logger) (o etcd.Options, err error) {
	warnExposed(log, f.key, f.passwordFile)
	o = etcd.Options{Endpoints: f.endpoints, Prefix: f.prefix, Cert: f.cert, Key: f.key, CA: f.ca, User: f.user, Log: log}
	if f.user == "" {
		return o, nil
	}
	if o.Password = os.Getenv(passwordVariable); f.passwordFile != "" {
		b, err := os.ReadFile(f.passwordFile)
		if err != nil {
			return o, fmt.Errorf("cannot read the password for etcd: %w", err)
		}
		o.Password = strings.TrimRight(string(b), "\r\n")
	}
	if o.Password == "" {
		return o, fmt.Errorf("cannot ask etcd as user %q: there is no password: want --etcd-password-file or %s", f.user, passwordVariable)
	}
	return o, nil
}

// failed words why a question to etcd was not answered. The client says of a server that is not there only that time was over: it is looked for.
func (f *etcdFlags) failed(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("cannot ask etcd %s: %w", strings.Join(f.endpoints, ","), err)
	}
	var d net.Dialer
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, e := range f.endpoints {
		if _, at, ok := strings.Cut(e, "://"); ok {
			e = at
		}
		conn, lost := d.DialContext(ctx, "tcp", e)
		if lost != nil {
			return fmt.Errorf("cannot ask etcd %s: %w", strings.Join(f.endpoints, ","), lost)
		}
		_ = conn.Close()
	}
	return fmt.Errorf("cannot ask etcd %s: something listens there and does not answer: %w", strings.Join(f.endpoints, ","), err)
}

// etcdScheme begins the argument that stands for a configuration in etcd.
const etcdScheme = "etcd://"

// takeConfig reads etcd:///KEY or etcd://host:port,host:port/KEY, and gives KEY, which begins with a slash.
func (f *etcdFlags) takeConfig(arg string) (key string, err error) {
	at, key, _ := strings.Cut(strings.TrimPrefix(arg, etcdScheme), "/")
	key = "/" + key
	switch {
	case at != "" && f.given():
		return "", fmt.Errorf("%q names where etcd is, and so does --etcd: want one", arg)
	case at != "":
		f.endpoints = strings.Split(at, ",")
	case !f.given():
		return "", fmt.Errorf("%q does not say where etcd is: want --etcd", arg)
	}
	_, err = f.configKey(key)
	return key, err
}

// configKey gives the part of a configuration's key behind the prefix.
func (f *etcdFlags) configKey(key string) (string, error) {
	prefix := "/" + strings.Trim(f.prefix, "/") + "/"
	part, ok := strings.CutPrefix(key, prefix)
	if !ok || part == "" {
		return "", fmt.Errorf("the configuration's key %q: want one under --etcd-prefix, such as %sconfig", key, prefix)
	}
	return part, nil
}
