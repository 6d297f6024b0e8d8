// The configuration of a proxy as etcd holds it: engine.ConfigSource.

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/engine"
	"github.com/tidepool-proxy/tidepool/engine/topo/etcd"
)

// etcdConfig follows one key. It tells etcd what this proxy runs, and has the last that was loaded kept on disk.
type etcdConfig struct {
	src   *etcd.Source
	key   string // whole
	where string // for people
	log   *slog.Logger
	news  chan struct{} // newest is another
	stop  func()

	mu      sync.Mutex
	newest  etcd.Config // of revision 0: nothing is known yet
	taken   etcd.Config // what Read gave last
	tried   string      // the newest text that Read gave, or that was not to be tried again
	old     bool        // Read gives the kept one the next time
	serves  etcd.Config
	refused string // why newest does not serve
}

var _ engine.ConfigSource = (*etcdConfig)(nil)

func newEtcdConfig(src *etcd.Source, key, where string, log *slog.Logger) *etcdConfig {
	e := &etcdConfig{src: src, key: key, where: where, log: log, news: make(chan struct{}, 1)}
	e.stop = src.WatchConfig(e.told)
	return e
}

// told takes what etcd holds now.
func (e *etcdConfig) told(c etcd.Config) {
	if c.Removed {
		e.log.Warn("the configuration is gone from etcd: the last one serves", "key", e.key)
		return
	}
	e.mu.Lock()
	e.newest = c
	same := e.serves.Revision != 0 && c.Text == e.serves.Text
	if same { // it was put again, or what came from disk is confirmed
		e.serves, e.refused, e.tried = c, "", c.Text
	}
	e.mu.Unlock()
	if same {
		e.report(c)
	}
	select {
	case e.news <- struct{}{}:
	default:
	}
}

// report says what serves. e.mu is not held.
func (e *etcdConfig) report(serves etcd.Config) {
	e.mu.Lock()
	refused := e.refused
	e.mu.Unlock()
	e.src.Runs(serves.Generation, serves.Digest, refused)
	if serves.Revision != 0 {
		e.src.KeepConfig(serves)
	}
}

// Read is engine.Options.Read.
func (e *etcdConfig) Read(path string) ([]byte, error) {
	if path != e.key {
		return nil, fmt.Errorf("cannot read %q: the configuration is the key %s in etcd alone", path, e.key)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.taken = e.newest
	if kept, ok := e.src.KeptConfig(); e.old && ok {
		e.taken = kept
	} else {
		e.tried = e.newest.Text
	}
	e.old = false
	return []byte(e.taken.Text), nil
}

// Await implements engine.ConfigSource.
func (e *etcdConfig) Await(stop <-chan struct{}) bool {
	for {
		e.mu.Lock()
		newer := e.newest.Revision != 0 && e.newest.Text != e.tried
		if newer {
			e.log.Info("there is another configuration in etcd", "key", e.key, "config", e.newest.Generation, "digest", e.newest.Digest)
		}
		e.mu.Unlock()
		if newer {
			return true
		}
		select {
		case <-e.news:
		case <-stop:
			return false
		}
	}
}

// Loaded implements engine.ConfigSource.
func (e *etcdConfig) Loaded(_ string, err error) {
	e.mu.Lock()
	switch {
	case err != nil:
		e.refused = oneLine(err.Error())
	case e.taken.Text == e.newest.Text:
		e.serves, e.refused = e.newest, ""
	default: // an older one; why it is not the newest has been said
		e.serves = e.taken
	}
	serves := e.serves
	e.mu.Unlock()
	e.report(serves)
}

// Fallback implements engine.ConfigSource: a proxy that is started while etcd holds a bad configuration serves by the last that was good.
func (e *etcdConfig) Fallback() bool {
	kept, ok := e.src.KeptConfig()
	e.mu.Lock()
	defer e.mu.Unlock()
	if !ok || kept.Text == e.taken.Text {
		return false
	}
	e.old = true
	e.log.Error("cannot load configuration: the last that was good is taken from disk", "err", e.refused, "config", kept.Generation, "digest", kept.Digest)
	return true
}

// Origin implements engine.ConfigSource.
func (e *etcdConfig) Origin() *engine.Origin {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := &engine.Origin{
		Source: e.where, Generation: e.serves.Generation, Revision: e.serves.Revision, Digest: e.serves.Digest, Stale: e.serves.Stale, Refused: e.refused,
	}
	if !e.newest.Stale {
		o.Newest = e.newest.Generation
	}
	return o
}

// errStopped is how a proxy ends that was told to stop before it served.
var errStopped = errors.New("cannot start the proxy: it was told to stop")

// ask asks etcd, every now and then, whether there is a configuration, and tells why not. Where there is one it will be told: nothing is said here.
func (e *etcdConfig) ask(ctx context.Context, answers chan<- error) {
	for {
		c, err := e.src.Config(ctx)
		if err != nil || c.Revision == 0 {
			select {
			case answers <- err:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-time.After(askEvery):
		case <-ctx.Done():
			return
		}
	}
}

// await waits until there is a configuration: etcd's or, while etcd is away or has none, the last that was good. failed words why etcd was not heard.
func (e *etcdConfig) await(term <-chan os.Signal, patience time.Duration, failed func(error) error) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	answers := make(chan error) // nil: there is none in etcd
	go e.ask(ctx, answers)
	why := context.DeadlineExceeded // nil: etcd has answered that there is none
	for said := false; ; {
		e.mu.Lock()
		known := e.newest.Revision != 0
		e.mu.Unlock()
		if known {
			return nil
		}
		select {
		case <-e.news:
		case <-term:
			return errStopped
		case <-late.C:
			if why == nil {
				return fmt.Errorf("cannot start the proxy: there is no configuration in etcd at %s, and none came within %v: want 'tidepool config put'", e.key, patience)
			}
			return fmt.Errorf("cannot start the proxy: no configuration %s within %v, and none is kept on disk: %w", e.key, patience, failed(why))
		case why = <-answers:
			if why != nil {
				continue // what is on disk will be told
			}
			if kept, ok := e.src.KeptConfig(); ok {
				e.log.Warn("there is no configuration in etcd: the last that was good is taken from disk", "key", e.key, "config", kept.Generation)
				e.told(kept)
			} else if !said {
				e.log.Warn("there is no configuration in etcd: it is waited for", "key", e.key, "for", patience)
				said = true
			}
		}
	}
}

// fileConfig tells etcd what a proxy runs whose configuration is files.
type fileConfig struct {
	src    *etcd.Source
	mu     sync.Mutex
	digest string
}

func (f *fileConfig) Await(stop <-chan struct{}) bool { <-stop; return false }
func (f *fileConfig) Fallback() bool                  { return false }
func (f *fileConfig) Origin() *engine.Origin          { return nil }

func (f *fileConfig) Loaded(digest string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	refused := ""
	if err != nil {
		refused = oneLine(err.Error())
	} else {
		f.digest = digest
	}
	f.src.Runs(0, f.digest, refused)
}
