// What is taken and what is given make up what was read, in whatever pieces it comes.

package natswire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

// lines takes lines that begin with '-', whole. Others are given; one that begins with '+' is as long as its second byte says, and one that begins with '!' is the last
// that is looked at.
func lines(took *[]string) func(b []byte) (int, bool, int) {
	return func(b []byte) (int, bool, int) {
		end := bytes.IndexByte(b, '\n') + 1
		switch {
		case b[0] == '!':
			return 0, false, 0
		case b[0] == '+' && len(b) > 1:
			return 2 + int(b[1]), false, 0
		case end == 0:
			return 0, false, len(b) + 1
		case b[0] == '-':
			*took = append(*took, string(b[:end]))
			return end, true, 0
		}
		return end, false, 0
	}
}

func TestSieve(t *testing.T) {
	large := strings.Repeat("x", 3*sieveUsual/2) + "\n"
	var in, given strings.Builder
	var taken []string
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range 300 {
		s := [...]string{"a line\n", "-mine\n", "\n", "+\xf0" + strings.Repeat("-\n", 0x78), "-\n"}[rnd.IntN(5)]
		if i == 100 {
			s = "-" + large
		}
		if in.WriteString(s); s[0] == '-' {
			taken = append(taken, s)
		} else {
			given.WriteString(s)
		}
	}
	rest := "!" + strings.Repeat("-not mine any more\n", 10_000)
	in.WriteString(rest)
	given.WriteString(rest)
	for name, pieces := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r },
		"bytes": iotest.OneByteReader,
		"end":   iotest.DataErrReader, // the last bytes come together with io.EOF
		"half":  iotest.HalfReader,
		"odd":   func(r io.Reader) io.Reader { return odd{r, rnd} },
	} {
		t.Run(name, func(t *testing.T) {
			var took []string
			s := NewSieve(pieces(strings.NewReader(in.String())).Read, lines(&took))
			got, err := io.ReadAll(odd{s, rnd})
			if err != nil || string(got) != given.String() || strings.Join(took, "") != strings.Join(taken, "") {
				t.Errorf("%d bytes given, want %d; %d taken, want %d (%v)", len(got), given.Len(), len(took), len(taken), err)
			}
			if s.buf != nil {
				t.Error("keeps a buffer that nothing is looked for in any more")
			}
		})
	}
}

// odd reads odd amounts.
type odd struct {
	r   io.Reader
	rnd *rand.Rand
}

func (o odd) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 1+o.rnd.IntN(9000))]) }

// The buffer follows what comes, up and, after something large, down.
func TestSieveBuffer(t *testing.T) {
	var took []string
	r, w := io.Pipe()
	s := NewSieve(r.Read, lines(&took))
	go io.Copy(io.Discard, s)
	f := func(what string, least, most int) {
		t.Helper()
		for range 8 { // each Write ends when it has been read: the last has been looked at when the next one ends
			if _, err := io.WriteString(w, what); err != nil {
				t.Fatal(err)
			}
		}
		io.WriteString(w, "x\n")
		io.WriteString(w, "x\n")
		if n := len(s.buf); n < least || n > most {
			t.Errorf("after lines of %d bytes the buffer has %d, want %d to %d", len(what), n, least, most)
		}
	}
	f("-\n", sieveLeast, sieveLeast)
	f("-"+strings.Repeat("x", sieveUsual)+"\n", sieveUsual+1, 4*sieveUsual)
	f("-"+strings.Repeat("x", 2*sieveKeep)+"\n", sieveUsual, sieveKeep)
	w.CloseWithError(errors.New("ends"))
}
