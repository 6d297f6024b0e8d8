// What lies in etcd under the prefix, as this process has heard of it.

package etcd

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/topo"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// mirror is what etcd held at revision rev. It is guarded by Source.mu.
type mirror struct {
	rev     int64
	keys    map[string]struct{} // all of them, to be counted
	leaves  map[string]map[string]topo.Member
	drained map[string]map[string]bool // by pool, who was draining when his registration went
	docs    map[string]docAt
	proxies map[string]ProxyInfo
	configs map[string]Config // by key: whatever lies in no folder
}

// docAt is a document and the revision that it was written at.
type docAt struct {
	document
	rev int64
	bad bool // it cannot be read: rev is all that is known
}

func newMirror() *mirror {
	return &mirror{
		keys: map[string]struct{}{}, leaves: map[string]map[string]topo.Member{}, drained: map[string]map[string]bool{},
		docs: map[string]docAt{}, proxies: map[string]ProxyInfo{}, configs: map[string]Config{},
	}
}

// The folders under the prefix.
const (
	dirLeaves  = "leaves/"
	dirPools   = "pools/"
	dirProxies = "proxies/"
	dirLeader  = "leader/"

	defaultConfig = "config" // a key of its own, unless Options.Config says otherwise
)

// foldered reports whether a key lies in one of the folders, or is one's name.
func foldered(key string) bool {
	for _, dir := range []string{dirLeaves, dirPools, dirProxies, dirLeader} {
		if strings.HasPrefix(key+"/", dir) {
			return true
		}
	}
	return false
}

// set takes over a key that was written. key is without the prefix. It gives the pool that is concerned, "" if none, and what is wrong
// with the value.
func (m *mirror) set(key string, kv *mvccpb.KeyValue) (pool string, err error) {
	m.keys[key] = struct{}{}
	switch {
	case strings.HasPrefix(key, dirLeaves):
		pool, name, _ := strings.Cut(key[len(dirLeaves):], "/")
		leaf, err := readMember(pool, name, kv.Value)
		if err != nil {
			delete(m.leaves[pool], name)
			return pool, err
		}
		if m.leaves[pool] == nil {
			m.leaves[pool] = map[string]topo.Member{}
		}
		m.leaves[pool][name] = leaf
		delete(m.drained[pool], name)
		return pool, nil
	case strings.HasPrefix(key, dirPools):
		pool := key[len(dirPools):]
		if kv.ModRevision < m.docs[pool].rev {
			return pool, nil // heard of earlier, by another way
		}
		d, err := readDocument(pool, kv.Value)
		m.docs[pool] = docAt{document: d, rev: kv.ModRevision, bad: err != nil}
		return pool, err
	case strings.HasPrefix(key, dirProxies):
		p, err := readProxy(key[len(dirProxies):], kv.Value)
		m.proxies[key[len(dirProxies):]] = p
		return "", err
	case !foldered(key):
		m.configs[key] = configOf(kv)
	}
	return "", nil
}

// drop takes over that a key was deleted at a revision.
func (m *mirror) drop(key string, rev int64) (pool string) {
	delete(m.keys, key)
	switch {
	case strings.HasPrefix(key, dirLeaves):
		pool, name, _ := strings.Cut(key[len(dirLeaves):], "/")
		if m.leaves[pool][name].State == topo.Draining {
			if m.drained[pool] == nil {
				m.drained[pool] = map[string]bool{}
			}
			m.drained[pool][name] = true
		}
		delete(m.leaves[pool], name)
		if len(m.leaves[pool]) == 0 {
			delete(m.leaves, pool)
		}
		return pool
	case strings.HasPrefix(key, dirPools):
		pool := key[len(dirPools):]
		if rev > m.docs[pool].rev {
			delete(m.docs, pool)
		}
		return pool
	case strings.HasPrefix(key, dirProxies):
		delete(m.proxies, key[len(dirProxies):])
	case !foldered(key):
		m.configs[key] = Config{Revision: rev, Removed: true}
	}
	return ""
}

// readMember reads what a leaf says of itself, and believes nothing that cannot be.
func readMember(pool, name string, b []byte) (m topo.Member, err error) {
	if err = topo.ValidPool(pool); err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err == nil {
		err = m.Validate()
	}
	if err == nil && m.Name != name {
		err = fmt.Errorf("it says that its name is %q", m.Name)
	}
	if err != nil {
		return m, fmt.Errorf("cannot read the registration of leaf %q in pool %q: %w", name, pool, err)
	}
	return m, nil
}

func readDocument(pool string, b []byte) (d document, err error) {
	if err = json.Unmarshal(b, &d); err == nil {
		err = d.Validate()
	}
	if err == nil && d.Pool != pool {
		err = fmt.Errorf("it says that it is of pool %q", d.Pool)
	}
	if err != nil {
		return document{}, fmt.Errorf("cannot read the membership of pool %q: %w", pool, err)
	}
	return d, nil
}

// ProxyInfo is a proxy as it says of itself.
type ProxyInfo struct {
	ID      string    `json:"id"`
	Name    string    `json:"name,omitempty"`
	Admin   string    `json:"admin,omitempty"`
	Version string    `json:"version,omitempty"`
	Started time.Time `json:"started"`

	Config     string `json:"config,omitempty"`     // the key of its configuration; "": it is not from etcd
	Generation int64  `json:"generation,omitempty"` // of the configuration that it runs
	Digest     string `json:"digest,omitempty"`     // of its text
	Refused    string `json:"refused,omitempty"`    // why it does not run a newer one; "": it does

	Applied map[string]uint64 `json:"applied,omitempty"` // by pool, the epoch that it goes by; 0: it has none yet

	Unreachable map[string]map[string]string `json:"unreachable,omitempty"` // by pool and name, the addresses of members that it does not reach
}

func readProxy(id string, b []byte) (p ProxyInfo, err error) {
	if err = json.Unmarshal(b, &p); err != nil {
		err = fmt.Errorf("cannot read the registration of proxy %q: %w", id, err)
	}
	p.ID = id
	return p, err
}
