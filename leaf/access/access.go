// Package access reads the files that say who may connect to a NATS server, and as whom to connect to one: certificates and
// their keys, users, nkeys, credentials.
//
// cmd calls it while it starts and when it reloads; package leaf takes what it gives. Nothing here keeps state. What connects
// (Client) gives options that read their files again for every connection, so that files which are replaced need no restart; what
// listens is given values, and is told when to take new ones.
//
// An error names the file, and the line where there are lines. It never quotes what may be a secret.
package access

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/nats-io/nkeys"
)

// User is somebody who may connect. The password may be a bcrypt hash, as NATS's tools make it.
type User struct{ Name, Password string }

// likeHash is what nats-server takes for a bcrypt hash, never for a password: one of another length lets nobody in.
var likeHash = regexp.MustCompile(`^\$2[abxy]\$\d\d\$`)

const hashLen = 60

// ReadSecret reads a file that holds one line: a password.
func ReadSecret(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("cannot read a password: %w", err)
	}
	s := strings.TrimRight(string(b), "\r\n")
	switch {
	case strings.TrimSpace(s) == "":
		return "", fmt.Errorf("cannot read a password: %q is empty", path)
	case strings.ContainsAny(s, "\r\n"):
		return "", fmt.Errorf("cannot read a password: %q has more than one line", path)
	}
	return s, nil
}

// ReadUsers reads a file of users: name:password, one a line. Empty lines and those that begin with # are passed over.
func ReadUsers(path string) ([]User, error) {
	var all []User
	seen := map[string]bool{}
	err := eachLine(path, func(line string) error {
		name, password, ok := strings.Cut(line, ":")
		switch {
		case !ok || name == "" || password == "":
			return errors.New("want name:password")
		case strings.ContainsAny(name, " \t"):
			return fmt.Errorf("user name %q holds a space", name)
		case seen[name]:
			return fmt.Errorf("user %q is there already", name)
		case likeHash.MatchString(password) && len(password) != hashLen:
			return fmt.Errorf("the password of %q begins like a bcrypt hash, but has %d characters in place of %d", name, len(password), hashLen)
		}
		seen[name] = true
		all = append(all, User{name, password})
		return nil
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%q names nobody", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read users: %w", err)
	}
	return all, nil
}

// ReadNKeys reads a file of public user nkeys (U...), one a line; what follows a key on its line is whose it is, for people.
func ReadNKeys(path string) ([]string, error) {
	var all []string
	seen := map[string]bool{}
	err := eachLine(path, func(line string) error {
		key := strings.Fields(line)[0]
		switch {
		case strings.HasPrefix(key, "S"):
			return errors.New("this is a seed, which is a secret: want the public key that belongs to it, U...")
		case !nkeys.IsValidPublicUserKey(key):
			return fmt.Errorf("%q is no public user nkey: want U and 55 more characters", key)
		case seen[key]:
			return fmt.Errorf("%q is there already", key)
		}
		seen[key] = true
		all = append(all, key)
		return nil
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("%q names nobody", path)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read nkeys: %w", err)
	}
	return all, nil
}

// eachLine calls f with each line that says something. What f finds wrong is told with the file and the line.
func eachLine(path string, f func(line string) error) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	s := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if err := f(line); err != nil {
			return fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Exposed reports whether everybody on this machine may read a file. A file that cannot be looked at is not.
func Exposed(path string) bool {
	const others = 0o004
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&others != 0
}
