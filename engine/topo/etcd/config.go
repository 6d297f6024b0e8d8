// The configuration in etcd: one key with plain text.

package etcd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Config is the configuration that etcd holds.
type Config struct {
	Text       string `json:"text"`
	Generation int64  `json:"generation"` // 1 for the first, and one more with each that is put; 0: there is none
	Revision   int64  `json:"revision"`   // etcd's, for PutConfig
	Digest     string `json:"digest"`     // of Text, 12 hexadecimal digits of its SHA-256
	Removed    bool   `json:"-"`          // it was there
	Stale      bool   `json:"-"`          // from disk: etcd has not confirmed it yet
}

// ErrConflict: somebody else has put a configuration meanwhile.
var ErrConflict = errors.New("the configuration in etcd is another one by now")

// AnyRevision has PutConfig replace whatever is there.
const AnyRevision = -1

// Digest names a configuration's text.
func Digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

func configOf(kv *mvccpb.KeyValue) Config {
	return Config{Text: string(kv.Value), Generation: kv.Version, Revision: kv.ModRevision, Digest: Digest(string(kv.Value))}
}

// Config asks etcd for the configuration. Its Generation is 0 where there is none.
func (s *Source) Config(ctx context.Context) (Config, error) {
	c, ctx, cancel, err := s.call(ctx)
	if err != nil {
		return Config{}, err
	}
	defer cancel()
	r, err := c.Get(ctx, s.key(s.o.Config))
	if err != nil {
		return Config{}, fmt.Errorf("cannot get the configuration %s: %w", s.key(s.o.Config), err)
	}
	if len(r.Kvs) == 0 {
		return Config{}, nil
	}
	return configOf(r.Kvs[0]), nil
}

// PutConfig puts the configuration in the place of the one of that revision; 0: there is none yet; AnyRevision: whatever there is.
func (s *Source) PutConfig(ctx context.Context, text string, revision int64) (Config, error) {
	c, ctx, cancel, err := s.call(ctx)
	if err != nil {
		return Config{}, err
	}
	defer cancel()
	key := s.key(s.o.Config)
	txn := c.Txn(ctx)
	if revision != AnyRevision {
		txn = txn.If(clientv3.Compare(clientv3.ModRevision(key), "=", revision))
	}
	r, err := txn.Then(clientv3.OpPut(key, text), clientv3.OpGet(key)).Else(clientv3.OpGet(key)).Commit()
	if err != nil {
		return Config{}, fmt.Errorf("cannot put the configuration %s: %w", key, err)
	}
	var now Config
	if kvs := r.Responses[len(r.Responses)-1].GetResponseRange().Kvs; len(kvs) > 0 {
		now = configOf(kvs[0])
	}
	if !r.Succeeded {
		return now, fmt.Errorf("%w: generation %d, revision %d", ErrConflict, now.Generation, now.Revision)
	}
	return now, nil
}

// KeptConfig is the configuration that was last kept; ok is false where there is none. It serves a proxy that starts while etcd is away, or holds
// one that does not load.
func (s *Source) KeptConfig() (c Config, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept, s.kept.Revision != 0
}

// KeepConfig has a configuration that has been loaded written to StateDir, in the place of the one before.
func (s *Source) KeepConfig(c Config) {
	if c.Stale || c.Removed {
		return
	}
	s.mu.Lock()
	s.kept = c
	s.kept.Stale = true
	s.keeps++
	s.mu.Unlock()
	kick(s.save)
}

type configWatcher struct {
	f    func(Config)
	told bool
	last Config
}

// WatchConfig calls f with the configuration as soon as it is known, and whenever it has changed, one call at a time. One that was taken away is
// told as Removed; before there is a first one nothing is told. Where etcd is away at the start, what is on disk is told as Stale. It is for
// proxies (Options.Proxy): others do not hear of it. After stop has returned f is not called any more; f must not call stop.
func (s *Source) WatchConfig(f func(Config)) (stop func()) {
	w := &configWatcher{f: f}
	s.mu.Lock()
	s.configs[w] = struct{}{}
	s.mu.Unlock()
	s.tellConfig()
	return func() {
		s.configMu.Lock()
		defer s.configMu.Unlock()
		s.mu.Lock()
		delete(s.configs, w)
		s.mu.Unlock()
	}
}

// tellConfig calls the watchers of the configuration with what is new to them. No lock is held.
func (s *Source) tellConfig() {
	s.configMu.Lock()
	defer s.configMu.Unlock()
	s.mu.Lock()
	c := s.kept
	if s.listed {
		c = s.mirror.configs[s.o.Config]
	} else if !s.mayStale {
		c = Config{}
	}
	var to []*configWatcher
	for w := range s.configs {
		if c != (Config{}) && (!w.told || w.last != c) {
			to = append(to, w)
		}
	}
	s.mu.Unlock()
	for _, w := range to {
		if s.ctx.Err() != nil {
			return
		}
		w.told, w.last = true, c
		w.f(c)
	}
}
