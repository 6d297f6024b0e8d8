// Transcripts: requests and a memcached's answers, in a file.

package differ

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Exchange is one request and their answer to it.
type Exchange struct {
	Request Request
	Answer  string
}

// Transcript is what a memcached was asked, within a few seconds, and what it said.
type Transcript struct {
	Version string // of memcached
	Time    int64  // when, in Unix seconds
	Seed    uint64
	List    []Exchange
}

// Write writes t.
func (t *Transcript) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "memcached %s at %d, seed %d\n", t.Version, t.Time, t.Seed)
	for _, x := range t.List {
		fmt.Fprintf(b, "> %s\n< %s\n", quote(string(x.Request)), quote(x.Answer))
	}
	return b.Flush()
}

// ReadTranscript reads what Write has written.
func ReadTranscript(r io.Reader) (*Transcript, error) {
	t := &Transcript{}
	s := bufio.NewScanner(r)
	s.Scan()
	if _, err := fmt.Sscanf(s.Text(), "memcached %s at %d, seed %d", &t.Version, &t.Time, &t.Seed); err != nil {
		return nil, fmt.Errorf("cannot read transcript: first line %q: %w", s.Text(), err)
	}
	for n := 2; s.Scan(); n++ {
		kind, text, _ := strings.Cut(s.Text(), " ")
		text, err := strconv.Unquote(`"` + text + `"`)
		switch {
		case err != nil:
			return nil, fmt.Errorf("cannot read transcript: line %d: %w", n, err)
		case kind == ">":
			t.List = append(t.List, Exchange{Request: Request(text)})
		case kind == "<" && len(t.List) > 0:
			t.List[len(t.List)-1].Answer = text
		default:
			return nil, fmt.Errorf("cannot read transcript: line %d: %q", n, s.Text())
		}
	}
	return t, s.Err()
}

func quote(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
