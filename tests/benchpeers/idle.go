// Idle connections: what each costs in memory.

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"time"

	"github.com/tidepool-proxy/tidepool/tests/proc"
)

// patience is how long one answer may take.
const patience = 10 * time.Second

// idleTurn starts the contender anew, so that no earlier load has made it larger, loads it for a second, opens connections each of which
// asks once and is idle from then on, and reads the memory.
func idleTurn(ctx context.Context, b *bench, r *row, c contender, round int) (res result, err error) {
	var ps procs
	defer ps.stop()
	fresh, err := c.kind.start(b, ctx, &ps)
	if err != nil {
		return res, err
	}
	if _, err := b.load(ctx, r.shape, fresh, round, time.Second); err != nil {
		return res, err
	}
	before, err := settled(ctx, fresh.proc, b.s.settle)
	if err != nil {
		return res, err
	}
	conns, err := idlers(ctx, fresh.addr, r.idle)
	defer func() {
		for _, nc := range conns {
			_ = nc.Close()
		}
	}()
	if err != nil {
		return res, err
	}
	after, err := settled(ctx, fresh.proc, b.s.settle)
	res.PerConn = float64(after-before) / float64(r.idle)
	return res, err
}

// settled is the memory of a process after a while without work.
func settled(ctx context.Context, p *proc.Process, wait time.Duration) (int64, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(wait):
	}
	return p.RSS()
}

// idlers opens n connections and asks on each for the same key, which is to be answered alike on all.
func idlers(ctx context.Context, addr string, n int) (conns []net.Conn, err error) {
	var first []byte
	for i := range n {
		nc, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return conns, fmt.Errorf("cannot open connection %d: %w", i+1, err)
		}
		conns = append(conns, nc)
		answer, err := ask(nc, "get key:1\r\n")
		if err != nil {
			return conns, fmt.Errorf("connection %d: %w", i+1, err)
		}
		if i == 0 {
			first = answer
		}
		if !bytes.HasPrefix(answer, []byte("VALUE key:1 ")) || !bytes.Equal(answer, first) {
			return conns, fmt.Errorf("connection %d is answered %q, the first one %q", i+1, answer, first)
		}
	}
	return conns, nil
}

// ask sends a get and reads its answer.
func ask(nc net.Conn, request string) (answer []byte, err error) {
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := nc.Write([]byte(request)); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(nc, 512)
	for !bytes.HasSuffix(answer, []byte("END\r\n")) {
		line, err := r.ReadSlice('\n')
		answer = append(answer, line...)
		if err != nil || bytes.HasPrefix(answer, []byte("SERVER_ERROR")) {
			return answer, fmt.Errorf("answered %q: %w", answer, err)
		}
	}
	return answer, nil
}
