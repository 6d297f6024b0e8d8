// List: Pendings in order, linked through themselves.

package backend

// List is a queue of Pendings that needs no memory of its own. The zero List is empty. A Pending is in one List at most.
type List struct {
	head, tail *Pending
	n          int
}

// Len is how many there are.
func (l *List) Len() int { return l.n }

// Head is the first, or nil.
func (l *List) Head() *Pending { return l.head }

// Push puts p at the end.
func (l *List) Push(p *Pending) {
	p.Next = nil
	if l.tail == nil {
		l.head = p
	} else {
		l.tail.Next = p
	}
	l.tail = p
	l.n++
}

// Pop takes the first, or gives nil.
func (l *List) Pop() *Pending {
	p := l.head
	if p == nil {
		return nil
	}
	if l.head = p.Next; l.head == nil {
		l.tail = nil
	}
	p.Next = nil
	l.n--
	return p
}

// PopAfter takes the one that follows p, which is in the list, or the first if p is nil. There must be one.
func (l *List) PopAfter(p *Pending) *Pending {
	if p == nil {
		return l.Pop()
	}
	q := p.Next
	if p.Next = q.Next; l.tail == q {
		l.tail = p
	}
	q.Next = nil
	l.n--
	return q
}

// Move puts all of from at the end of l, in order, and empties from.
func (l *List) Move(from *List) {
	if from.head == nil {
		return
	}
	if l.tail == nil {
		l.head = from.head
	} else {
		l.tail.Next = from.head
	}
	l.tail = from.tail
	l.n += from.n
	*from = List{}
}
