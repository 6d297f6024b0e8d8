// Key filters: which part of a key is hashed.

package hash

import (
	"bytes"
	"errors"
	"fmt"
)

// Filter cuts from a key what is to be hashed. The zero Filter takes the whole key. Backends always get the whole key.
type Filter struct {
	kind filterKind
	conf string
}

type filterKind uint8

const (
	filterNone filterKind = iota
	filterStop
	filterTags
	filterHashTag
)

// FilterConf's length, in bytes.
const (
	minConf = 2
	maxConf = 5
)

// NewFilter makes a filter, with memcached's proxy's errors. kind "" is none. "stop" takes what precedes the first occurrence of
// conf. "tags" takes what lies between the first conf[0] and the next conf[1], even if that is nothing (as upstream does; twemproxy
// takes the whole key then). Keys that do not match are taken whole.
func NewFilter(kind, conf string) (Filter, error) {
	f := Filter{conf: conf}
	switch kind {
	case "":
		return Filter{}, nil
	case "stop":
		f.kind = filterStop
	case "tags":
		f.kind = filterTags
	default:
		return Filter{}, fmt.Errorf("unknown hash filter specified: %s", kind)
	}
	if conf == "" {
		return Filter{}, errors.New("hash filter requires 'filter_conf' string")
	}
	if len(conf) < minConf || len(conf) > maxConf {
		return Filter{}, fmt.Errorf("hash filter conf must be between %d and %d characters", minConf, maxConf)
	}
	return f, nil
}

// NewHashTag makes twemproxy's hash_tag: what lies between the first tag[0] and the next tag[1] is hashed, the whole key if that is
// nothing or is not there. "" is none.
func NewHashTag(tag string) (Filter, error) {
	switch len(tag) {
	case 0:
		return Filter{}, nil
	case 2:
		return Filter{kind: filterHashTag, conf: tag}, nil
	}
	return Filter{}, fmt.Errorf("hash_tag %q: want two characters, such as \"{}\"", tag)
}

// Apply gives the part of key to hash.
func (f *Filter) Apply(key []byte) []byte {
	switch f.kind {
	case filterStop:
		if i := indexString(key, f.conf); i >= 0 {
			return key[:i]
		}
	case filterTags, filterHashTag:
		from := bytes.IndexByte(key, f.conf[0]) + 1
		if from == 0 {
			return key
		}
		if n := bytes.IndexByte(key[from:], f.conf[1]); n > 0 || n == 0 && f.kind == filterTags {
			return key[from : from+n]
		}
	}
	return key
}

// indexString is bytes.Index for a string; the conversion does not allocate for comparison of at most maxConf bytes.
func indexString(key []byte, s string) int {
	for i := 0; i+len(s) <= len(key); i++ {
		if key[i] == s[0] && string(key[i:i+len(s)]) == s {
			return i
		}
	}
	return -1
}
