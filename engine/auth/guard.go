// The guard: a session in front of another, until its client has said who it is.

package auth

import (
	"bytes"

	"github.com/tidepool-proxy/tidepool/engine/mc"
	"github.com/tidepool-proxy/tidepool/engine/server"
)

// maxToken is the longest "user password", as in memcached.
const maxToken = 16 << 10

// What strangers are told, in memcached's words.
const (
	lineStranger   = "CLIENT_ERROR unauthenticated\r\n"
	lineTooLong    = "CLIENT_ERROR auth token too long\r\n"
	lineTerminator = "CLIENT_ERROR bad command line termination\r\n"
	lineForm       = "CLIENT_ERROR bad authentication token format\r\n"
	lineFailure    = "CLIENT_ERROR authentication failure\r\n"
	lineWelcome    = "STORED\r\n"
)

// Guard lets clients reach h when they have said who they are.
func (f *File) Guard(h server.Handler) server.Handler { return guard{f, h} }

type guard struct {
	file *File
	next server.Handler
}

// Open implements server.Handler.
func (g guard) Open(info server.ConnInfo) server.Session {
	next := g.next.Open(info)
	s := session{Session: next, file: g.file}
	if a, ok := next.(server.Async); ok {
		return &async{s, a}
	}
	return &s
}

// session is one client's connection.
type session struct {
	server.Session
	file *File
	in   bool
}

// Rules implements server.Session.
func (s *session) Rules() mc.Rules {
	if s.in {
		return s.Session.Rules()
	}
	return mc.Rules{Login: true, MaxValue: maxToken}
}

// Serve implements server.Session. A stranger's batch is one request: the next is read by the rules of whoever it is then.
func (s *session) Serve(b *server.Batch) error {
	if s.in {
		return s.Session.Serve(b)
	}
	for i := range b.Reqs {
		r := &b.Reqs[i]
		switch {
		case r.Bad.Closes():
			b.Out = mc.AnswerBad(b.Out, r, &b.Rules)
			return server.ErrClose
		case r.Bad == mc.BadNone && r.Cmd == mc.CmdQuit:
			return server.ErrClose
		}
		b.Out = append(b.Out, s.login(r)...)
	}
	return nil
}

// async is a session before one that is served elsewhere now and then; a stranger's never is.
type async struct {
	session
	next server.Async
}

// Begin implements server.Async.
func (s *async) Begin(b *server.Batch, home server.Home, leave func()) (waits bool, err error) {
	if !s.in {
		return false, s.Serve(b)
	}
	return s.next.Begin(b, home, leave)
}

// Onward implements server.Async.
func (s *async) Onward(b *server.Batch) (server.Outcome, error) { return s.next.Onward(b) }

// Complete implements server.Async.
func (s *async) Complete(b *server.Batch) error { return s.next.Complete(b) }

// login answers a stranger's request.
func (s *session) login(r *mc.Request) string {
	switch {
	case r.Cmd != mc.CmdSet:
		return lineStranger
	case r.Bad == mc.BadTooLarge:
		return lineTooLong
	case r.Bad == mc.BadChunk:
		return lineTerminator
	case r.Bad != mc.BadNone:
		return lineStranger
	}
	token := bytes.TrimSuffix(r.Value, []byte("\r\n"))
	if bytes.IndexByte(token, ' ') < 0 {
		return lineForm
	}
	if s.in = s.file.Check(token); !s.in {
		return lineFailure
	}
	return lineWelcome
}
