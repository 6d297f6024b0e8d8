// What the flags of etcd mean together.

package main

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func TestTakeConfig(t *testing.T) {
	f := func(arg, etcd, prefix, key, at, problem string) {
		t.Helper()
		e := etcdFlags{prefix: prefix}
		if etcd != "" {
			e.endpoints = []string{etcd}
		}
		got, err := e.takeConfig(arg)
		if problem != "" {
			if err == nil || !strings.Contains(err.Error(), problem) {
				t.Errorf("%s: %v, want %q", arg, err, problem)
			}
			return
		}
		if err != nil || got != key || !slices.Equal(e.endpoints, strings.Split(at, ",")) {
			t.Errorf("%s: key %q at %q, %v", arg, got, e.endpoints, err)
		}
	}
	f("etcd:///tidepool/config", "a:1", "/tidepool", "/tidepool/config", "a:1", "")
	f("etcd://a:1,b:2/tidepool/config/web", "", "/tidepool", "/tidepool/config/web", "a:1,b:2", "")
	f("etcd:///x/y/config", "a:1", "x/y/", "/x/y/config", "a:1", "")
	f("etcd:///tidepool/config", "", "/tidepool", "", "", "does not say where etcd is")
	f("etcd://a:1/tidepool/config", "a:1", "/tidepool", "", "", "and so does --etcd")
	f("etcd:///other/config", "a:1", "/tidepool", "", "", "want one under --etcd-prefix, such as /tidepool/config")
	f("etcd:///tidepool/", "a:1", "/tidepool", "", "", "want one under --etcd-prefix")
	f("etcd:///tidepool", "a:1", "/tidepool", "", "", "want one under --etcd-prefix")
}

func TestEtcdProblem(t *testing.T) {
	f := func(e etcdProxyFlags, want string) {
		t.Helper()
		if got := e.problem(); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%+v: %q, want %q", e, got, want)
		}
	}
	at := []string{"a:1"}
	f(etcdProxyFlags{}, "")
	f(etcdProxyFlags{etcdFlags: etcdFlags{endpoints: at, cert: "c", key: "k", ca: "a", user: "u"}, stateDir: "d"}, "")
	f(etcdProxyFlags{stateDir: "d"}, "want --etcd with --state-dir")
	f(etcdProxyFlags{etcdFlags: etcdFlags{ca: "a"}}, "want --etcd with")
	f(etcdProxyFlags{etcdFlags: etcdFlags{endpoints: at, key: "k"}}, "--etcd-cert and --etcd-key together")
	f(etcdProxyFlags{etcdFlags: etcdFlags{endpoints: at, passwordFile: "f"}}, "want --etcd-user with")
}

func TestEtcdPassword(t *testing.T) {
	f := func(user, file, variable, want, problem string) {
		t.Helper()
		t.Setenv(passwordVariable, variable)
		e := etcdFlags{endpoints: []string{"a:1"}, user: user, passwordFile: file}
		o, err := e.options(slog.New(slog.DiscardHandler))
		if (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) || err == nil && o.Password != want {
			t.Errorf("user %q, file %q, variable %q: %q, %v; want %q, %q", user, file, variable, o.Password, err, want, problem)
		}
	}
	file := write(t, "password", " s3cret \n")
	f("", "", "left over", "", "")
	f("u", "", "s3cret", "s3cret", "")
	f("u", file, "other", " s3cret ", "")
	f("u", "", "", "", "there is no password")
	f("u", write(t, "empty", "\n"), "other", "", "there is no password")
	f("u", file+".none", "other", "", "cannot read the password for etcd")
}
