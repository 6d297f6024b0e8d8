// The last memberships on disk, for a start without etcd.

package etcd

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// stateVersion is the form of files in StateDir.
const stateVersion = 1

// state is one file: a pool's document, or the configuration.
type state struct {
	Version int       `json:"version"`
	Prefix  string    `json:"prefix"`
	Written time.Time `json:"written"`
	Pool    *document `json:"pool,omitempty"`
	Key     string    `json:"key,omitempty"` // of Config, without the prefix
	Config  *Config   `json:"config,omitempty"`
}

const (
	statePool   = "pool-"
	stateConfig = "config"
	stateExt    = ".json"
)

// loadState reads StateDir. A file that cannot be read is said and left alone; a folder that cannot be made is an error.
func (s *Source) loadState() error {
	if s.o.StateDir == "" {
		return nil
	}
	if err := os.MkdirAll(s.o.StateDir, 0o700); err != nil {
		return fmt.Errorf("cannot keep memberships: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(s.o.StateDir, "*"+stateExt))
	if err != nil {
		return fmt.Errorf("cannot read kept memberships: %w", err)
	}
	for _, file := range files {
		st, err := readState(file, &s.o)
		switch {
		case err != nil:
			s.o.Log.Warn("what was kept in a file is of no use", "file", file, "error", err)
		case st.Pool != nil:
			p := s.poolLocked(st.Pool.Pool)
			p.doc, p.stale = *st.Pool, true
		case st.Config != nil:
			s.kept = *st.Config
			s.kept.Stale = true
		}
	}
	return nil
}

func readState(file string, o *Options) (st state, err error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return st, err
	}
	if err := json.Unmarshal(b, &st); err != nil {
		return st, err
	}
	name := strings.TrimSuffix(filepath.Base(file), stateExt)
	switch {
	case st.Version != stateVersion:
		return st, fmt.Errorf("it is of version %d, want %d", st.Version, stateVersion)
	case st.Prefix != o.Prefix:
		return st, fmt.Errorf("it is of prefix %q, want %q", st.Prefix, o.Prefix)
	case st.Pool != nil && name != statePool+st.Pool.Pool:
		return st, fmt.Errorf("it is of pool %q", st.Pool.Pool)
	case st.Pool != nil && st.Pool.Epoch == 0:
		return st, errors.New("it has no epoch")
	case st.Pool != nil:
		return st, st.Pool.Validate()
	case st.Config == nil || name != stateConfig:
		return st, errors.New("there is nothing in it")
	case st.Key != o.Config:
		return st, fmt.Errorf("it is of key %q, want %q", st.Key, o.Config)
	case st.Config.Digest != Digest(st.Config.Text) || st.Config.Revision == 0:
		return st, errors.New("its text is not what its digest says")
	}
	return st, nil
}

// believeDisk: etcd was waited for.
func (s *Source) believeDisk() {
	s.mu.Lock()
	s.mayStale = true
	s.mu.Unlock()
	s.tellAll()
	s.tellConfig()
}

// saveAgain is when what could not be written is tried again, if nothing changes before.
const saveAgain = time.Second

// saver writes what has changed, one change for many.
func (s *Source) saver() {
	wrote, failed := map[string]uint64{}, map[string]bool{}
	var again <-chan time.Time
	for {
		select {
		case <-s.save:
		case <-again:
		case <-s.ctx.Done():
			return
		}
		if s.o.StateDir == "" {
			continue
		}
		for name, st := range s.unsaved(wrote) {
			err := writeState(filepath.Join(s.o.StateDir, name+stateExt), &st)
			if err != nil {
				delete(wrote, name)
				again = time.After(saveAgain)
			}
			if err != nil && !failed[name] { // said once
				s.o.Log.Warn("cannot keep a membership", "error", err)
			}
			failed[name] = err != nil
		}
	}
}

// unsaved gives what is to be written, by file, and notes it in wrote.
func (s *Source) unsaved(wrote map[string]uint64) map[string]state {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]state{}
	now := s.o.Now().UTC()
	for name, p := range s.pools {
		if file := statePool + name; p.doc.Epoch > wrote[file] && !p.stale {
			d := p.doc
			out[file] = state{Version: stateVersion, Prefix: s.o.Prefix, Written: now, Pool: &d}
			wrote[file] = d.Epoch
		}
	}
	if s.keeps != wrote[stateConfig] {
		c := s.kept
		out[stateConfig] = state{Version: stateVersion, Prefix: s.o.Prefix, Written: now, Key: s.o.Config, Config: &c}
		wrote[stateConfig] = s.keeps
	}
	return out
}

// writeState replaces the file whole: whoever reads it sees the one before or this one.
func writeState(file string, st *state) (err error) {
	b, err := json.MarshalIndent(st, "", "\t")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
