// A configuration that lies in no file: where it comes from, when it is loaded again, and what is told of it.

package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
)

// ConfigSource is who gives the text that Options.Read reads, when it lies in no file, and wants to know what becomes of it. Loads are one at a
// time: a Read, and then Loaded.
type ConfigSource interface {
	// Await waits until Read would give another text than it gave the last time. false: stop was closed first.
	Await(stop <-chan struct{}) bool
	// Loaded is told how a load has ended. digest is of the text that was read, 12 hexadecimal digits of its SHA-256 (of several files: of all); "":
	// nothing was read.
	Loaded(digest string, err error)
	// Fallback is asked when the first load has failed: whether Read gives another text now, which is worth a try.
	Fallback() bool
	// Origin tells of the text that serves; nil: there is nothing to tell.
	Origin() *Origin
}

// Origin is where a configuration comes from that lies in no file.
type Origin struct {
	Source     string `json:"source"`            // "etcd http://127.0.0.1:2379 /tidepool/config"
	Generation int64  `json:"generation"`        // how often it had been put
	Revision   int64  `json:"revision"`          // etcd's, of that
	Digest     string `json:"digest"`            // see ConfigSource.Loaded
	Stale      bool   `json:"stale,omitempty"`   // it is from disk, and has not been confirmed
	Newest     int64  `json:"newest"`            // the generation that etcd holds; 0: none, or that is not known
	Refused    string `json:"refused,omitempty"` // why that does not serve
}

// errSealed is what scripts are told that read files where there are none.
var errSealed = errors.New("a configuration from etcd reads no files")

// scriptFile reads a file for a script that loads.
func (l *loader) scriptFile(path string) ([]byte, error) {
	if l.p.opts.Sealed {
		return nil, errSealed
	}
	return l.readFile(path)
}

// requirePath is package.path.
func (l *loader) requirePath() string {
	if l.p.opts.Sealed {
		return ";" // "" would be the default
	}
	return packagePath(l.p.opts.LuaPath, l.p.opts.Files)
}

// digestFiles names what was read.
func digestFiles(files []fileInfo) string {
	switch len(files) {
	case 0:
		return ""
	case 1:
		return files[0].SHA256[:12]
	}
	h := sha256.New()
	for _, f := range files {
		h.Write([]byte(f.SHA256))
	}
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// tellLoaded tells who gave the configuration how a load has ended.
func (p *Proxy) tellLoaded(err error) {
	if p.opts.Config != nil {
		p.opts.Config.Loaded(digestFiles(p.loader.files), err)
	}
}

// origin is where the configuration comes from; nil: files.
func (p *Proxy) origin() *Origin {
	if p.opts.Config == nil {
		return nil
	}
	return p.opts.Config.Origin()
}

// firstLoad loads the configuration for the first time, or the one that is known to have been good.
func (p *Proxy) firstLoad() error {
	_, err := p.Reload()
	if err != nil && p.opts.Config != nil && p.opts.Config.Fallback() {
		_, err = p.Reload()
	}
	return err
}

// followSource loads again whatever the source has that is new, until stop.
func (p *Proxy) followSource(stop <-chan struct{}) {
	for p.opts.Config.Await(stop) {
		_, _ = p.Reload() // it is logged and counted
	}
}
