// Reading: a connection of which some messages are taken off.

package natswire

// Sieve reads a connection for somebody, and takes off what is another's. It belongs to one goroutine.
type Sieve struct {
	read func(p []byte) (int, error)
	take func(b []byte) (n int, mine bool, need int)

	buf  []byte // buf[from:to] has been read
	from int
	to   int
	give int  // so many bytes of what comes next are to be given, whether they have been read yet or not
	all  bool // everything is given, and not looked at
}

const (
	sieveLeast = 4 << 10  // the buffer of a connection on which little comes at once
	sieveUsual = 64 << 10 // and on which much does
	sieveKeep  = 2 << 20  // the largest that is kept after a large message
)

// NewSieve gives one that reads with read. take is called with what comes next. It returns how many bytes that is, and whether they are taken: then
// take has had them, and may keep none of them; else they are given to who reads the Sieve, and need not all be there yet. need > 0: take is to be called again when
// there are so many bytes. n and need 0: from here on everything is given, and take is not called any more.
func NewSieve(read func(p []byte) (int, error), take func(b []byte) (n int, mine bool, need int)) *Sieve {
	return &Sieve{read: read, take: take}
}

// Read implements io.Reader: it gives what has not been taken.
func (s *Sieve) Read(p []byte) (int, error) {
	for s.give == 0 && !s.all {
		need := s.look()
		if s.give > 0 {
			break
		}
		s.makeRoom(need)
		n, err := s.read(s.buf[s.to:])
		if s.to += n; n == 0 && err != nil {
			return 0, err
		}
	}
	if s.from == s.to && s.all && s.give == 0 {
		s.buf = nil
		return s.read(p)
	}
	p = p[:min(len(p), s.give)]
	n, err := 0, error(nil)
	if s.from == s.to {
		n, err = s.read(p)
	} else {
		n = copy(p, s.buf[s.from:s.to])
		s.from += n
	}
	s.give -= n
	return n, err
}

// look has taken what is, up to where something is to be given or is not whole. need is then how much of it there must be.
func (s *Sieve) look() (need int) {
	for s.from < s.to {
		n, mine, need := s.take(s.buf[s.from:s.to])
		switch {
		case need > 0:
			return need
		case n == 0:
			s.all = true
			s.give = s.to - s.from
			return 0
		case !mine:
			s.give = n
			return 0
		}
		s.from += n
	}
	return 0
}

// makeRoom sees to it that there is room to read into, for need bytes if they come: memory follows what has been sent, not what is said.
func (s *Sieve) makeRoom(need int) {
	left := s.to - s.from
	switch {
	case s.buf == nil:
		s.resize(sieveLeast)
	case left == len(s.buf):
		s.resize(max(2*left, min(need, 4*left)))
	case left == 0 && s.to == len(s.buf) && len(s.buf) < sieveUsual: // the last read has filled it
		s.resize(2 * len(s.buf))
	case left == 0 && len(s.buf) > sieveKeep:
		s.resize(sieveUsual)
	default:
		s.from, s.to = 0, copy(s.buf, s.buf[s.from:s.to])
	}
}

// resize has what has been read, and what will be, in another buffer.
func (s *Sieve) resize(size int) {
	b := make([]byte, size)
	s.from, s.to = 0, copy(b, s.buf[s.from:s.to])
	s.buf = b
}
