// Writing: where something may be put between what another writes.

package natswire

import "bytes"

// Edge follows what a server writes to a connection. The zero Edge is of one that nothing has been written to. It is not for concurrent use.
type Edge struct {
	line []byte // the beginning of one that is not whole
	owed int    // bytes of a payload that have not been written yet
	lost bool
}

// Whole reports whether what has been written is whole commands. It does so never again once something is written that Cut cannot tell.
func (e *Edge) Whole() bool { return e.owed == 0 && len(e.line) == 0 && !e.lost }

// Lost reports whether that is so.
func (e *Edge) Lost() bool { return e.lost }

// Wrote notes that p has been written. each is called with every line that is whole by now, before its payload; it may keep none of it.
func (e *Edge) Wrote(p []byte, each func(line []byte)) {
	for len(p) > 0 && !e.lost {
		if n := min(e.owed, len(p)); n > 0 {
			e.owed -= n
			p = p[n:]
			continue
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			e.line = append(e.line, p...)
			return
		}
		line := p[:end+1]
		if len(e.line) > 0 {
			e.line = append(e.line, line...)
			line = e.line
		}
		_, n, need := Cut(line)
		if e.lost = n == 0 && need == 0; !e.lost {
			each(line)
			e.owed = max(need-len(line), 0)
		}
		e.line = e.line[:0]
		p = p[end+1:]
	}
}
