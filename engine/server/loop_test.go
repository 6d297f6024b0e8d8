// Connections that a loop serves.

package server

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/tidepool-proxy/tidepool/engine/sock"
)

// theLoop is what late gives its servers.
var theLoop *sock.Loop

// inLoop has late's servers use a loop from here on.
func inLoop(t *testing.T) *sock.Loop {
	t.Helper()
	l, err := sock.NewLoop()
	if err != nil {
		t.Skip(err)
	}
	theLoop = l
	t.Cleanup(func() { theLoop = nil; l.Close() })
	return l
}

// What holds elsewhere holds in the loop.
func TestElsewhereInLoop(t *testing.T) {
	inLoop(t)
	for name, test := range map[string]func(*testing.T){
		"served": TestServedElsewhere, "many": TestServedElsewhereByMany, "slow": TestSlowClientElsewhere, "left": TestLeftToTheGoroutine, "ends": TestEndsElsewhere,
		"goes": TestClientGoesMeanwhile, "half": TestHalfClosedElsewhere, "shutdown": TestShutdownMeanwhile, "idle": TestIdleMeanwhile, "full": TestFullBufferElsewhere,
		"early": TestWritesBeforeItLeaves,
	} {
		t.Run(name, test)
	}
}

// The loop is switched off and on while clients are served, in pieces, and several requests at a time.
func TestLoopComesAndGoes(t *testing.T) {
	l := inLoop(t)
	d, s, _ := late(t, Options{Async: l.On})
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for on := false; ; on = !on {
			select {
			case home := <-d.homes:
				home.GoOn()
				l.Set(on)
			case <-stop:
				return
			}
		}
	}()
	many(t, s, 6, 300, func(i int, key string) (says, sees string, cut int) {
		says, sees = "get "+key+"\r\n", value(key)
		if i%3 == 0 {
			says, sees = says+strings.Repeat("get a\r\nset b 0 0 2\r\nhi\r\n", 20), sees+strings.Repeat(value("a")+"STORED\r\n", 20)
		}
		return says, sees, len(says) * (i % 5) / 5
	})
}

// A client that has been served in the loop, and then sends its last request and the end together, is let go at once.
func TestEndComesWithARequestInLoop(t *testing.T) {
	l := inLoop(t)
	for _, last := range []string{"get a\r\n", "get late\r\n", "get a\r\nget b\r\nget", ""} {
		d, s, _ := late(t, Options{})
		p := dial(t, s)
		for range 3 {
			p.says("get a\r\n")
			p.sees(value("a"))
		}
		h := holds{make(chan bool), make(chan bool)}
		l.Soon(h)
		await(t, "the loop to be held", h.holds)
		p.says("%s", last)
		p.Conn.(*net.TCPConn).CloseWrite()
		close(h.goes)
		switch last {
		case "get late\r\n":
			await(t, "the batch to wait", d.homes).GoOn()
			p.sees(value("late"))
		case "":
		default:
			p.sees(value("a"))
			if strings.Contains(last, "b") {
				p.sees(value("b"))
			}
		}
		p.ends()
		await(t, "the session to be closed", d.closed)
	}
}

// A batch that waits is only the first of what the buffer holds, and more comes meanwhile.
func TestMoreBehindTheBatchInLoop(t *testing.T) {
	inLoop(t)
	d, s, p := late(t, Options{MaxBatch: 2})
	p.says("get a\r\n")
	p.sees(value("a"))
	p.says("get late\r\nget x\r\nget b\r\n")
	home := await(t, "the batch to wait", d.homes)
	p.says("get c\r\n")
	until(t, "the loop to have seen that", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			return c.missed.Load()
		}
		return false
	})
	home.GoOn()
	p.sees(value("late") + value("x") + value("b") + value("c"))
}

// A client that always has more to ask, and takes all its answers, leaves the others their turns.
func TestLoopTakesTurns(t *testing.T) {
	inLoop(t)
	_, s, busy := late(t, Options{})
	other := dial(t, s)
	other.says("get a\r\n")
	other.sees(value("a"))
	stop := make(chan struct{})
	ended := make(chan bool, 2)
	go func() {
		defer func() { ended <- true }()
		for lines := []byte(strings.Repeat("get a\r\n", 10_000)); ; {
			select {
			case <-stop:
				busy.Conn.(*net.TCPConn).CloseWrite()
				return
			default:
				busy.Conn.Write(lines)
			}
		}
	}()
	go func() {
		defer func() { ended <- true }()
		io.Copy(io.Discard, busy.r)
	}()
	for range 100 {
		other.says("get b\r\n")
		other.sees(value("b"))
	}
	close(stop)
	await(t, "the client to end", ended)
	await(t, "its answers to end", ended)
}

// What the loop refuses is answered as ever.
func TestLoopRefuses(t *testing.T) {
	inLoop(t)
	_, _, p := late(t, Options{MaxConnBuffer: 32 << 10, MaxLine: 2048})
	p.says("get a\r\n")
	p.sees(value("a"))
	p.says("set b 0 0 100000\r\n%s\r\nget c\r\n", strings.Repeat("x", 100_000))
	p.sees(string(lineNoMemory) + value("c"))
	p.says("get %s", strings.Repeat("x", 10_000))
	p.sees(string(lineTooLong))
	p.ends()
}

// A client that has sent half of a large request leaves the loop in peace until there is more.
func TestLoopWaitsForTheRest(t *testing.T) {
	l := inLoop(t)
	_, s, p := late(t, Options{})
	p.says("get a\r\n")
	p.sees(value("a"))
	p.says("get a\r\nset big 0 0 9000\r\n%s", strings.Repeat("x", 2*maxStash))
	p.sees(value("a"))
	s.awaitBegun(t, 1)
	until(t, "the loop to wait", func() bool { return !l.Later(holds{}) })
	p.says("%s\r\n", strings.Repeat("x", 9000-2*maxStash))
	p.sees("STORED\r\n")
}

// What is sent while a server stops is read once more after the batch that was elsewhere, and not twice (as TestShutdownReadsOnceMore has it).
func TestShutdownReadsOnceMoreInLoop(t *testing.T) {
	inLoop(t)
	d, s, p := late(t, Options{})
	p.says("get late\r\n")
	home := await(t, "the batch to wait", d.homes)
	done := shutdown(s)
	until(t, "stopping", s.stopping.Load)
	p.says("get wait\r\n")
	home.GoOn()
	await(t, "the session to wait", d.entered)
	p.says("get wait\r\n")
	d.gate <- struct{}{}
	p.sees(value("late") + value("wait"))
	p.ends()
	if err := await(t, "shutdown", done); err != nil {
		t.Error(err)
	}
}

// holds holds a loop up until it may go on.
type holds struct{ holds, goes chan bool }

func (h holds) Run(func()) {
	if h.holds != nil {
		h.holds <- true
		<-h.goes
	}
}
