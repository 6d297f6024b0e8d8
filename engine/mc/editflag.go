// Edits of meta flags, and the check that an answer belongs to a request.

package mc

import (
	"bytes"
	"errors"
)

// What scripts are told about a flag. The texts are memcached's.
var (
	ErrHasFlagChar   = errors.New("has_flag(): meta flag must be a single character")
	ErrHasFlagLetter = errors.New("has_flag(): invalid flag, must be A-Z,a-z")
	ErrFlagChar      = errors.New("request: meta flag must be a single character")
	ErrFlagLetter    = errors.New("request: invalid flag, must be A-Z,a-z")
	ErrFlagArg       = errors.New("request: invalid flag argument")
)

// ReadFlagName checks the flag of r:has_flag and r:flag_token.
func ReadFlagName(s string) (byte, error) { return flagName(s, ErrHasFlagChar, ErrHasFlagLetter) }

// EditFlagName checks the flag of r:flag_add and its like, and of res:flag_blank.
func EditFlagName(s string) (byte, error) { return flagName(s, ErrFlagChar, ErrFlagLetter) }

func flagName(s string, char, letter error) (byte, error) {
	if len(s) != 1 {
		return 0, char
	}
	if c := s[0] | 0x20; c < 'a' || c > 'z' {
		return 0, letter
	}
	return s[0], nil
}

// FlagAdd appends flag f with tok (may be empty); false if it is there already or the line does not allow it.
func (r *Request) FlagAdd(buf []byte, f byte, tok []byte) ([]byte, bool) {
	if !r.Cmd.IsMeta() || r.HasFlag(f) {
		return buf, false
	}
	return r.add(buf, f, tok)
}

// FlagSet sets flag f to tok in place, or appends it.
func (r *Request) FlagSet(buf []byte, f byte, tok []byte) ([]byte, bool) {
	return r.FlagReplace(buf, f, f, tok)
}

// FlagReplace puts flag with with tok in flag f's place, or appends it when there is no f.
func (r *Request) FlagReplace(buf []byte, f, with byte, tok []byte) ([]byte, bool) {
	if !r.Cmd.IsMeta() {
		return buf, false
	}
	if i := r.flagIndex(f); i >= 0 {
		return r.render(buf, i, with, tok)
	}
	return r.add(buf, with, tok)
}

// FlagDel removes flag f; false if it is not there.
func (r *Request) FlagDel(buf []byte, f byte) ([]byte, bool) {
	i := r.flagIndex(f)
	if i < 0 {
		return buf, false
	}
	return r.render(buf, i, 0, nil)
}

// SetFlagToken replaces all of flag f, its letter too, with tok ("N100"); an empty tok removes it. Without an f it
// does nothing. (r:flag_token with a second argument.)
func (r *Request) SetFlagToken(buf []byte, f byte, tok []byte) ([]byte, error) {
	i := r.flagIndex(f)
	if i < 0 {
		return buf, nil
	}
	return r.SetToken(buf, i, tok)
}

// What r:match_res gives as its second result.
const (
	MatchUnparsed      = "failed to parse response"
	MatchKey           = "key in response does not match request key"
	MatchOpaque        = "request opaque does not match response opaque"
	MatchNoOpaque      = "opaque in request but not in response"
	opaqueFlag    byte = 'O'
	keyFlag       byte = 'k'
)

// MatchRes compares the key (k) and opaque (O) that an answer reflects with the request's. Without either in them
// the result is false and no reason.
func MatchRes(r *Request, resp *Response) (ok bool, why string) {
	if !resp.OK() {
		return false, MatchUnparsed
	}
	if key, has := resp.Flag(keyFlag); has {
		if !bytes.Equal(key, r.Key) {
			return false, MatchKey
		}
		ok = true
	}
	if want, has := r.Flag(opaqueFlag); has && len(want) > 0 {
		got, has := resp.Flag(opaqueFlag)
		if !has {
			return false, MatchNoOpaque
		}
		if !bytes.Equal(want, got) {
			return false, MatchOpaque
		}
		ok = true
	}
	return ok, ""
}
