// Signals: SIGHUP reloads, SIGTERM and SIGINT stop, a second one cuts. SIGUSR1 stops, too, where a command takes it. SIGPIPE does nothing.

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// signals are caught from the moment it is made, so that one that comes while a command starts is not its sudden end.
type signals struct {
	hup  chan os.Signal
	term chan os.Signal
}

func catchSignals(more ...os.Signal) *signals {
	s := &signals{
		hup:  make(chan os.Signal, 1), // one is enough: a reload that begins after a signal obeys it
		term: make(chan os.Signal, 2),
	}
	signal.Notify(s.hup, syscall.SIGHUP)
	signal.Notify(s.term, append(more, syscall.SIGTERM, syscall.SIGINT)...)
	signal.Ignore(syscall.SIGPIPE) // else a log whose reader has ended (| logger, journald) ends the process at its next line
	return s
}

func (s *signals) release() {
	signal.Stop(s.hup)
	signal.Stop(s.term)
}

// errCut is how a command ends that was told twice to stop.
var errCut = errors.New("cannot finish what was under way: a second signal cut it")

// life is what a running command does between its start and its end.
type life struct {
	log    *slog.Logger
	drain  time.Duration                   // how long stop may take
	haste  time.Duration                   // the same after SIGTERM and SIGINT; 0: drain
	reload func()                          // nil: there is nothing to reload
	delay  time.Duration                   // how long all goes on as before between leave and stop
	served func() uint64                   // requests answered so far
	spares bool                            // memory is given back when there is nothing to do
	leave  func()                          // tells clients to go elsewhere; nil: nobody is told
	stop   func(ctx context.Context) error // finishes what is under way until ctx ends, then cuts; called once
}

// serve waits for the signal to stop and stops. It returns when nothing runs any more.
func (s *signals) serve(l life) error {
	done := make(chan struct{})
	var beside sync.WaitGroup
	beside.Go(func() { s.reload(l, done) })
	beside.Go(func() { sizeProcessors(done, processorTime, processorWait, l.served) })
	if l.spares {
		beside.Go(func() { sparesMemory(done, processorTime, heapAllocated) })
	}
	notify(l.log, notifyReady)
	sig := <-s.term
	notify(l.log, notifyStopping)
	drain := l.drain
	if l.haste > 0 && (sig == syscall.SIGTERM || sig == syscall.SIGINT) {
		drain = l.haste
	}
	l.log.Info("stopping", "signal", sig.String(), "delay", l.delay.String(), "drain", drain.String())
	if l.leave != nil {
		l.leave()
	}
	if l.delay > 0 {
		select {
		case <-time.After(l.delay):
		case <-s.term:
			return errCut
		}
		l.log.Info("closing")
	}
	close(done)

	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	stopped := make(chan error, 1)
	go func() {
		beside.Wait()
		stopped <- l.stop(ctx)
	}()
	select {
	case err := <-stopped:
		return err
	case <-s.term:
		return errCut // the process ends with main; nothing more is waited for
	}
}

// reload obeys SIGHUP, one at a time, until done. A reload that fails has said so in the log.
func (s *signals) reload(l life, done <-chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-s.hup:
			if l.reload == nil {
				l.log.Info("nothing to reload here", "signal", syscall.SIGHUP.String())
				continue
			}
			l.reload()
		}
	}
}
