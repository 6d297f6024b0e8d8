// The flags that say who connects to NATS and who may: of a leaf for its embedded server or the system it joins, of a proxy for
// its way to leaves. No flag takes a secret, since a list of processes shows flags: all of them name files.

package main

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tidepool-proxy/tidepool/leaf"
	"github.com/tidepool-proxy/tidepool/leaf/access"
	"github.com/tidepool-proxy/tidepool/pools/backend/leafnats"
)

// clientFlags say as whom to connect to NATS, and to whom. prefix comes before each flag's name.
type clientFlags struct {
	access.Client
	prefix string
}

func (f *clientFlags) add(fs *pflag.FlagSet, prefix, to string) {
	f.prefix = prefix
	fs.StringVar(&f.Creds, prefix+"creds", "", "`file` of credentials to present to "+to)
	fs.StringVar(&f.NKey, prefix+"nkey", "", "`file` with the nkey seed to present to "+to)
	f.addShared(fs, prefix, "to present to "+to, "to present to "+to, "to check "+to+" by; without TLS it is refused then")
}

// addShared are those that have a meaning for who listens, too.
func (f *clientFlags) addShared(fs *pflag.FlagSet, prefix, user, cert, ca string) {
	fs.StringVar(&f.User, prefix+"user", "", "user `name` "+user)
	fs.StringVar(&f.PasswordFile, prefix+"password-file", "", "`file` with the password of --"+prefix+"user")
	fs.StringVar(&f.TLS.Cert, prefix+"tls-cert", "", "`file` of the certificate "+cert+", in PEM")
	fs.StringVar(&f.TLS.Key, prefix+"tls-key", "", "`file` of its key")
	fs.StringVar(&f.TLS.CA, prefix+"tls-ca", "", "`file` of the authorities "+ca)
}

// problem says what cannot be meant, or "".
func (f *clientFlags) problem() string {
	n := 0
	for _, s := range []string{f.Creds, f.NKey, f.User} {
		if s != "" {
			n++
		}
	}
	p := "--" + f.prefix
	switch {
	case n > 1:
		return fmt.Sprintf("want one of %screds, %snkey and %suser", p, p, p)
	case (f.User == "") != (f.PasswordFile == ""):
		return fmt.Sprintf("want %suser and %spassword-file together", p, p)
	case (f.TLS.Cert == "") != (f.TLS.Key == ""):
		return fmt.Sprintf("want %stls-cert and %stls-key together", p, p)
	}
	return ""
}

// warnExposed says which of these files everybody on this machine may read.
func warnExposed(log *slog.Logger, files ...string) {
	for _, path := range files {
		if path != "" && access.Exposed(path) {
			log.Warn("a file with a secret can be read by everybody on this machine", "file", path)
		}
	}
}

// way is how a proxy's connections reach leaves.
func (f *clientFlags) way(log *slog.Logger) (a leafnats.Access, err error) {
	warnExposed(log, f.Creds, f.NKey, f.PasswordFile, f.TLS.Key)
	if a.Auth, err = f.Auth(); err == nil && f.TLS.Any() {
		a.TLS, err = f.TLS.Client()
	}
	if err != nil {
		return a, fmt.Errorf("cannot connect to leaves: %w", err)
	}
	return a, nil
}

// leafAccessFlags are those of tidepool leaf.
type leafAccessFlags struct {
	clientFlags
	users, nkeys, advertise string
	cluster                 leaf.Cluster
	clusterPasswordFile     string
}

func (f *leafAccessFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.Creds, "creds", "", "`file` of credentials to present to --nats")
	fs.StringVar(&f.NKey, "nkey", "", "`file` with the nkey seed to present to --nats")
	f.addShared(fs, "", "that may connect to --listen, or is presented to --nats", "of --listen, or to present to --nats",
		"that sign what the other side shows: with --listen clients must then show a certificate")
	fs.StringVar(&f.users, "users-file", "", "`file` of users that may connect to --listen: name:password, one a line; a password may be a bcrypt hash")
	fs.StringVar(&f.nkeys, "authorized-nkeys", "", "`file` of public nkeys that may connect to --listen, one a line")
	fs.StringVar(&f.advertise, "advertise", "", "`address` that NATS clients are told in place of --listen")
	fs.StringVar(&f.cluster.Listen, "cluster-listen", "", "`address` for routes of other leaves: host:port")
	fs.StringVar(&f.cluster.Name, "cluster-name", "tidepool", "`name` of the cluster, the same at all its leaves")
	fs.StringVar(&f.cluster.Advertise, "cluster-advertise", "", "`address` that other leaves are told in place of --cluster-listen")
	fs.StringVar(&f.clusterPasswordFile, "cluster-password-file", "", "`file` with what leaves show each other, the same at all")
	fs.StringSliceVar(&f.cluster.Routes, "routes", nil, "`addresses` of --cluster-listen of other leaves, with commas between")
}

// problem says what cannot be meant, or "".
func (f *leafAccessFlags) problem(nats string) string {
	only := func(with string, flags ...string) string { // pairs of a name and its value
		for i := 0; i < len(flags); i += 2 {
			if flags[i+1] != "" {
				return fmt.Sprintf("--%s goes with %s", flags[i], with)
			}
		}
		return ""
	}
	routes := strings.Join(f.cluster.Routes, ",")
	p := f.clientFlags.problem()
	switch {
	case p != "":
		return p
	case strings.Contains(nats+routes, "@"):
		return "a password in an address shows in the list of processes: want --user and --password-file, --creds, --nkey or --cluster-password-file"
	case nats != "":
		return only("--listen, not --nats", "users-file", f.users, "authorized-nkeys", f.nkeys, "advertise", f.advertise,
			"cluster-listen", f.cluster.Listen, "cluster-advertise", f.cluster.Advertise, "cluster-password-file", f.clusterPasswordFile, "routes", routes)
	case f.Creds != "" || f.NKey != "":
		return only("--nats, not --listen", "creds", f.Creds, "nkey", f.NKey)
	case f.TLS.CA != "" && f.TLS.Cert == "":
		return "--tls-ca wants --tls-cert and --tls-key: without TLS there is no certificate to check"
	case f.cluster.Listen != "" && f.TLS.Cert != "" && f.TLS.CA == "":
		return "--cluster-listen with TLS wants --tls-ca: by it leaves know each other"
	case f.cluster.Listen == "":
		return only("--cluster-listen", "routes", routes, "cluster-advertise", f.cluster.Advertise, "cluster-password-file", f.clusterPasswordFile)
	}
	return ""
}

// files are all that the flags name.
func (f *leafAccessFlags) files() (all []string) {
	for _, path := range []string{f.Creds, f.NKey, f.PasswordFile, f.TLS.Cert, f.TLS.Key, f.TLS.CA, f.users, f.nkeys, f.clusterPasswordFile} {
		if path != "" {
			all = append(all, path)
		}
	}
	return all
}

// fill reads the files into o, which has Listen or NATS.
func (f *leafAccessFlags) fill(o *leaf.Options, log *slog.Logger) (err error) {
	warnExposed(log, f.Creds, f.NKey, f.PasswordFile, f.TLS.Key, f.users, f.clusterPasswordFile)
	if o.NATS != "" {
		o.Connect, err = f.Options()
		return err
	}
	o.Advertise, o.Cluster = f.advertise, f.cluster
	if f.users != "" {
		if o.Users, err = access.ReadUsers(f.users); err != nil {
			return err
		}
	}
	if f.User != "" {
		password, err := access.ReadSecret(f.PasswordFile)
		if err != nil {
			return err
		}
		o.Users = append(o.Users, access.User{Name: f.User, Password: password})
	}
	if f.nkeys != "" {
		if o.NKeys, err = access.ReadNKeys(f.nkeys); err != nil {
			return err
		}
	}
	return f.fillTransport(o)
}

// fillTransport reads what secures connections and routes.
func (f *leafAccessFlags) fillTransport(o *leaf.Options) (err error) {
	if f.clusterPasswordFile != "" {
		if o.Cluster.Password, err = access.ReadSecret(f.clusterPasswordFile); err != nil {
			return err
		}
	}
	if f.TLS.Cert == "" {
		return nil
	}
	if o.TLS, err = f.TLS.Server(); err != nil {
		return err
	}
	if o.Cluster.Listen != "" {
		o.Cluster.TLS, err = f.TLS.Route()
	}
	return err
}

// reload gives what SIGHUP does: read the files again and let l take them. nil if there is nothing to read.
func (f *leafAccessFlags) reload(l *leaf.Leaf, o leaf.Options, log *slog.Logger) func() {
	if o.NATS != "" || len(f.files()) == 0 {
		return nil
	}
	return func() {
		o.Users, o.NKeys = nil, nil
		err := f.fill(&o, log)
		if err == nil {
			err = l.Reload(o)
		}
		if err != nil {
			log.Error("files not reloaded, the old ones stay in force", "err", err)
			return
		}
		log.Info("files reloaded", "files", f.files())
	}
}
