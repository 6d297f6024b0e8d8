// What a topology file says.

package topo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// ParseFile reads a topology. path is for errors, which read "path:line: what is wrong". Members come in the order of their names.
func ParseFile(text []byte, path string) (map[string][]Member, error) {
	var doc struct {
		Pools map[string][]json.RawMessage `json:"pools"`
	}
	at := func(offset int64, err error) error {
		line := 1 + bytes.Count(text[:min(max(offset, 0), int64(len(text)))], []byte("\n"))
		return fmt.Errorf("%s:%d: %w", path, line, err)
	}
	if err := strictly(text, &doc); err != nil {
		return nil, at(offsetOf(err, text), err)
	}
	if doc.Pools == nil {
		return nil, at(0, errors.New(`there is no "pools"`))
	}
	pools := map[string][]Member{}
	for _, name := range slices.Sorted(maps.Keys(doc.Pools)) {
		ms := []Member{} // not nil: a pool without members is one
		for _, raw := range doc.Pools[name] {
			var m Member
			if err := strictly(raw, &m); err != nil {
				return nil, at(place(text, raw), fmt.Errorf("pool %q: %w", name, err))
			}
			err := m.Validate()
			if err == nil && slices.ContainsFunc(ms, func(o Member) bool { return o.Name == m.Name }) {
				err = fmt.Errorf("leaf %q is there twice", m.Name)
			}
			if err != nil {
				return nil, at(place(text, raw), fmt.Errorf("pool %q: %w", name, err))
			}
			ms = append(ms, m)
		}
		if err := ValidPool(name); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		ms = slices.DeleteFunc(ms, func(m Member) bool { return m.State == Draining })
		byName(ms)
		pools[name] = ms
	}
	return pools, nil
}

// strictly decodes one JSON value, all of text, without unknown fields.
func strictly(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err == nil {
		return errors.New("there is more behind the end")
	}
	return nil
}

// offsetOf is where in text decoding went wrong.
func offsetOf(err error, text []byte) int64 {
	if s := (*json.SyntaxError)(nil); errors.As(err, &s) {
		return s.Offset
	}
	if u := (*json.UnmarshalTypeError)(nil); errors.As(err, &u) {
		return u.Offset
	}
	return int64(len(text))
}

// place is where raw lies in text. The same text twice is the same mistake twice: the second of two members of one name is meant.
func place(text, raw []byte) int64 { return int64(bytes.LastIndex(text, raw)) }
