// What a backend is sent.

package mc

// AppendWire appends what a backend is sent for r: the line with CRLF, then the value; q becomes a space and
// noreply becomes noreplY (delete, flush_all: a 0), so that the backend always answers. What follows the last token that
// a set or incr has a use for stays here: new servers ignore it, old ones would take the value for commands, or answer ERROR, which closes the connection.
func AppendWire(dst []byte, r *Request) []byte {
	if r.long {
		return r.appendShort(dst)
	}
	at := len(dst)
	dst = append(dst, r.Line...)
	if r.Quiet {
		line := dst[at:]
		for i := r.FlagStart(); i < int(r.ntok); i++ {
			if s := r.tok[i]; line[s.from] == 'q' {
				for j := s.from; j < s.to; j++ {
					line[j] = ' '
				}
			}
		}
	}
	if word := r.tok[r.ntok-1]; r.NoReply && (r.Cmd == CmdDelete || r.Cmd == CmdFlushAll) {
		// memcached takes no other word there than noreply, or a delay: delete's was that once, and flush_all looks at the first alone.
		copy(dst[at+int(word.from):at+int(word.to)], "0      ")
	} else if r.NoReply {
		dst[at+int(word.to)-1] = 'Y'
	} else if r.Cmd == CmdDelete && r.ntok == 2 && string(r.Key) == noreply {
		// Newer servers look only at the last word and would say nothing. The 0 is the delay of old times, which
		// all of them still take.
		dst = append(dst, " 0"...)
	}
	dst = append(dst, "\r\n"...)
	return append(dst, r.Value...)
}

// appendShort is AppendWire without what the command has no use for, its noreply with it.
func (r *Request) appendShort(dst []byte) []byte {
	in := r.Cmd.info()
	last := int(in.min) - 1
	if in.form == formStore {
		last = int(in.max) - 2
	}
	dst = append(dst, r.Line[:r.tok[last].to]...)
	if r.Cmd == CmdDelete { // as in AppendWire
		dst = append(dst, " 0"...)
	} else if string(r.at(last)) == noreply { // in place of cas, or of a number: odd, but never without an answer
		dst[len(dst)-1] = 'Y'
	}
	dst = append(dst, "\r\n"...)
	return append(dst, r.Value...)
}

// WireLen is at least the number of bytes that AppendWire appends.
func (r *Request) WireLen() int { return len(r.Line) + len(r.Value) + 4 }

// CheckWire says whether r may travel over a connection that others share: BadNone, or why not. A request that the
// parser made may still be refused for its key (a route could have trimmed it to fit), for a zero byte and, if it is a set, for its numbers or flags; one that a
// script built or edited is refused for anything that a backend would read differently than we do.
func CheckWire(r *Request) Bad {
	switch {
	case r.Bad != BadNone:
		return r.Bad
	case len(r.Key) > MaxKey:
		return BadKey
	case r.nkeys > 1:
		return BadFormat
	case r.Cmd.HasValue() != (r.Value != nil):
		return BadFormat
	case r.odd:
		return BadStore
	case r.Cmd == CmdMS && r.ntok >= maxMeta: // up to 1.6.39 memcached counts the end of a line as a token, and takes the data of an ms with more for commands
		return BadFlags
	}
	return BadNone
}
