// One command line: tokens, what they mean, and what is wrong with them.

package mc

import "bytes"

// parseLine parses line, which with its line end was total bytes long, into r. It returns the length of the value
// that follows, without CRLF, or -1 for none; r.Bad tells whether that value is to be swallowed.
func (r *Request) parseLine(line []byte, total int, routed bool) (vlen int) {
	end := bytes.IndexByte(line, ' ')
	if end < 0 {
		end = len(line)
	}
	cmd := lookup(line[:end])
	r.reset(cmd)
	r.Line = line
	r.odd = hasZero(line)
	if total < 4 {
		r.Bad = BadFormat
		return -1
	}
	if cmd == CmdNone {
		r.unknown(routed)
		return -1
	}
	in := &infos[cmd]
	r.tok[0] = span{0, int32(end)}
	count := r.tokenize(end)
	if count < int(in.min) {
		r.Bad = BadFormat
		return -1
	}
	if in.key > 0 {
		r.Key = r.at(int(in.key))
		r.nkeys = 1
	}
	vlen = -1
	switch in.form {
	case formGet:
		r.keyList(count, routed)
	case formMeta:
		r.metaFlags(2, count)
	case formMetaSet:
		if vlen = valueLength(r.at(2)); vlen < 0 {
			r.Bad = BadFormat
			return -1
		}
		r.metaFlags(3, count)
	case formStore:
		if vlen = valueLength(r.at(4)); vlen < 0 {
			r.Bad = BadFormat
			return -1
		}
		r.NoReply = r.lastIsNoReply()
		r.long = count > int(in.max)
		r.odd = r.odd || !r.storeIsSafe()
	case formSimple:
		r.NoReply = r.ntok > 2 && r.lastIsNoReply()
		r.long = count > useful
		if routed && count > int(in.max) {
			r.Bad = BadFormat
		}
	case formAdmin:
		r.NoReply = !cmd.alwaysAnswers() && r.lastIsNoReply()
	}
	if r.Bad != BadNone {
		return vlen
	}
	if routed {
		if total >= maxRouted && r.nkeys <= 1 {
			r.Bad = BadLong
		}
	} else if len(r.Key) > MaxKey {
		r.Bad = BadKey
	}
	return vlen
}

// tokenize finds the tokens after the command, which ends at i, and returns how many there are in all; the first
// MaxTokens are kept.
func (r *Request) tokenize(i int) (count int) {
	line := r.Line
	count = 1
	for {
		for i < len(line) && line[i] == ' ' {
			i++
		}
		if i >= len(line) {
			break
		}
		from := i
		// Most tokens are short: look at a few bytes before calling for help.
		stop := min(i+16, len(line))
		for i < stop && line[i] != ' ' {
			i++
		}
		if i == stop && i < len(line) {
			if j := bytes.IndexByte(line[i:], ' '); j >= 0 {
				i += j
			} else {
				i = len(line)
			}
		}
		if count < MaxTokens {
			r.tok[count] = span{int32(from), int32(i)}
		}
		count++
	}
	r.ntok = uint8(min(count, MaxTokens))
	return count
}

// keyList checks the keys of a get and its like.
func (r *Request) keyList(count int, routed bool) {
	kt := int(r.Cmd.info().key)
	r.nkeys = int32(count - kt)
	if r.nkeys == 1 {
		return
	}
	if routed {
		if r.tok[kt].from > maxPrefix {
			r.Bad = BadPrefix
		}
		return
	}
	for key, pos, ok := r.NextKey(0); ok; key, pos, ok = r.NextKey(pos) {
		if len(key) > MaxKey {
			r.Bad = BadKey
			return
		}
	}
}

// metaFlags notes the flags, which begin at token from of count.
func (r *Request) metaFlags(from, count int) {
	if count > maxMeta {
		r.Bad = BadFlags
	}
	for i := from; i < int(r.ntok); i++ {
		switch c := r.Line[r.tok[i].from]; {
		case isFlag(c):
			r.flags |= flagBit(c)
		case c < '0' || c > '9':
			r.Bad = BadFormat
		}
	}
	r.Quiet = r.flags&flagBit('q') != 0
	r.Base64 = r.flags&flagBit('b') != 0
}

// storeIsSafe: an old memcached that dislikes a set's line takes the value for commands, and everything after it on
// that connection is answered to the wrong client. So what any of them dislikes does not travel. They read flags and
// exptime as C does: more than 32 bits are cut. New ones take no plus before a cas.
func (r *Request) storeIsSafe() bool {
	return isCount(r.at(2)) && isTime(r.at(3)) && (r.Cmd != CmdCas || r.ntok > 5 && isUint64(r.at(5)))
}

// hasZero: up to 1.6.39 a line ends for memcached at a zero byte. So it takes what we do not for noreply, and says nothing; or sees another key, or
// none, and not those that are joined behind it.
func hasZero(line []byte) bool { return bytes.IndexByte(line, 0) >= 0 }

const noreply = "noreply"

func (r *Request) lastIsNoReply() bool {
	return r.ntok > 1 && string(r.at(int(r.ntok)-1)) == noreply
}

// unknown is for a line whose first word is no command.
func (r *Request) unknown(routed bool) {
	if routed {
		r.Bad = BadUnknown
		return
	}
	r.Bad = BadCommand
	r.tokenize(0)
	// tokenize began at 0, so the first word, if any, is token 1 here; none of them is used but the last.
	if n := int(r.ntok); n > 1 {
		last := r.at(n - 1)
		r.NoReply = string(last) == noreply
		if n > 2 && bytes.HasPrefix(last, []byte("HTTP/")) {
			r.Bad = BadHTTP
		}
	}
	r.ntok = 0
}
