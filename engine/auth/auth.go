// Package auth keeps clients away from a server until they have said who they are, as memcached -Y does: the first command is a set
// whose value is "user password"; the key means nothing.
//
// The engine puts File.Guard around its handler. A File may be used by any number of sessions at once; Reload swaps what it holds
// whole. Passwords cross the network as they are, so this is for loopback, unix sockets and networks that others cannot read.
package auth

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
)

// File is who may come in: a file with a line "user:password" for each.
type File struct {
	path     string
	entries  atomic.Pointer[[]entry]
	commands atomic.Int64
	failures atomic.Int64
}

// entry is one line's user and password, hashed so that comparing them takes the same time whatever their length.
type entry struct{ user, password [sha256.Size]byte }

// Open reads the file at path.
func Open(path string) (*File, error) {
	f := &File{path: path}
	return f, f.Reload()
}

// Reload reads the file again. After an error those who could come in before still can.
func (f *File) Reload() error {
	text, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("cannot read users: %w", err)
	}
	var entries []entry
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimRight(line, "\r\n")
		user, password, ok := strings.Cut(line, ":")
		if !ok { // the line is not quoted: it may be a password
			return fmt.Errorf("cannot read users: %s:%d: want user:password", f.path, n)
		}
		entries = append(entries, entry{sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))})
	}
	if len(entries) == 0 {
		return fmt.Errorf("cannot read users: %w", errors.New(f.path+" has none"))
	}
	f.entries.Store(&entries)
	return nil
}

// Check says whether token, "user password", opens the door, and counts.
func (f *File) Check(token []byte) bool {
	f.commands.Add(1)
	user, password, _ := bytes.Cut(token, []byte(" "))
	u, p := sha256.Sum256(user), sha256.Sum256(password)
	found := 0
	for _, e := range *f.entries.Load() {
		found |= subtle.ConstantTimeCompare(u[:], e.user[:]) & subtle.ConstantTimeCompare(p[:], e.password[:])
	}
	if found == 0 {
		f.failures.Add(1)
	}
	return found == 1
}

// Counts are how often a client said who it is, and how often it was nobody.
func (f *File) Counts() (commands, failures int64) { return f.commands.Load(), f.failures.Load() }
