// Counters, and what is seen of the server from outside.

package server

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"
)

// listenerCounters count what happens on one listener. Bytes of open connections are counted by the connection and
// added here when it ends.
type listenerCounters struct {
	curr            atomic.Int64
	total, rejected atomic.Uint64
	acceptErrors    atomic.Uint64
	read, written   atomic.Uint64
}

// counters count why connections or requests were given up.
type counters struct {
	refused, idle, slow, cutWrites, panics atomic.Uint64
}

// Stats is a snapshot of a server. Counters grow from New on.
type Stats struct {
	Conns        int    // open now
	Total        uint64 // accepted ever, not counting Rejected
	Rejected     uint64 // refused because of MaxConns
	AcceptErrors uint64 // failed accepts
	BytesRead    uint64
	BytesWritten uint64
	Buffered     int64  // bytes counted against MaxBuffered now
	Refused      uint64 // requests refused because of MaxConnBuffer or MaxBuffered
	ClosedIdle   uint64 // connections closed by IdleTimeout
	ClosedSlow   uint64 // connections closed by RequestTimeout
	ClosedUnread uint64 // connections cut because the client did not take its answers
	Panics       uint64 // connections ended by a panic in their session
	Listeners    []ListenerStats
}

// ListenerStats is the part of one listener.
type ListenerStats struct {
	Addr         ListenAddr
	Conns        int
	Total        uint64
	Rejected     uint64
	AcceptErrors uint64
	BytesRead    uint64
	BytesWritten uint64
}

// Buffered is Stats' of that name. Full reports whether MaxBuffered leaves hardly any room.
func (s *Server) Buffered() int64 { return s.buffers.used.Load() }
func (s *Server) Full() bool      { return s.buffers.full() }

// Stats gathers a snapshot. It walks the open connections: fine for a scrape, not for every request.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	index := make(map[*listener]int, len(s.listeners))
	st := Stats{
		Buffered:     s.buffers.used.Load(),
		Refused:      s.counted.refused.Load(),
		ClosedIdle:   s.counted.idle.Load(),
		ClosedSlow:   s.counted.slow.Load(),
		ClosedUnread: s.counted.cutWrites.Load(),
		Panics:       s.counted.panics.Load(),
	}
	for i, l := range s.listeners {
		index[l] = i
		n := &l.counted
		st.Listeners = append(st.Listeners, ListenerStats{
			Addr: l.addr, Conns: int(n.curr.Load()), Total: n.total.Load(), Rejected: n.rejected.Load(),
			AcceptErrors: n.acceptErrors.Load(), BytesRead: n.read.Load(), BytesWritten: n.written.Load(),
		})
	}
	for c := range s.conns {
		l := &st.Listeners[index[c.lis]]
		l.BytesRead += c.read.Load()
		l.BytesWritten += c.written.Load()
	}
	for _, l := range st.Listeners {
		st.Conns += l.Conns
		st.Total += l.Total
		st.Rejected += l.Rejected
		st.AcceptErrors += l.AcceptErrors
		st.BytesRead += l.BytesRead
		st.BytesWritten += l.BytesWritten
	}
	return st
}

// ConnState is an open connection, or a listener.
type ConnState struct {
	ConnInfo
	Listening bool          // a listener: of ConnInfo it has Tag, Network, Local and FD
	Streaming bool          // a Stream has it
	Idle      time.Duration // since the client was heard of or took an answer, to the second
}

// Conns gathers listeners and open connections, in the order of their descriptors.
func (s *Server) Conns() []ConnState {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []ConnState
	for _, l := range s.listeners {
		out = append(out, ConnState{Listening: true, ConnInfo: ConnInfo{Tag: l.addr.Tag, Network: l.addr.Network, Local: l.addr.Address, FD: l.fd}})
	}
	tick := s.tick.Load()
	for c := range s.conns {
		out = append(out, ConnState{ConnInfo: c.info, Streaming: c.streaming.Load(), Idle: time.Duration(tick-c.seen.Load()) * sweepEvery})
	}
	slices.SortStableFunc(out, func(a, b ConnState) int { return cmp.Compare(a.FD, b.FD) })
	return out
}
