// Which of several endpoints are asked.

package etcd

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	retryEndpoints   = 3 * time.Second        // how often those that are left out are asked whether they are back
	suspectEndpoints = 500 * time.Millisecond // about the least time between two rounds of questions
	laterThanFirst   = 300 * time.Millisecond // who has not answered for so long after the first is taken for silent
)

// suspect has the endpoints asked if err is what a silent one looks like: the client notices by itself only what refuses or closes
// connections, and to one that hangs it goes on sending one request of three.
func (s *Source) suspect(err error) {
	if len(s.o.Endpoints) > 1 && (errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded) {
		kick(s.doubt)
	}
}

// endpoints leaves out those that do not answer or have no leader, as long as another does.
func (s *Source) endpoints() {
	if len(s.o.Endpoints) < 2 {
		return
	}
	retry := time.NewTimer(time.Hour)
	defer retry.Stop()
	using := s.o.Endpoints
	for {
		select {
		case <-s.doubt:
		case <-retry.C:
		case <-s.ctx.Done():
			return
		}
		c, err := s.etcd(s.ctx)
		if err != nil {
			return
		}
		good := s.answeringEndpoints()
		if len(good) == 0 {
			good = s.o.Endpoints // it is not one of them, it is all: etcd or the network
		}
		if !slices.Equal(good, using) {
			s.o.Log.Info("other endpoints of etcd are used", "endpoints", good)
			c.SetEndpoints(good...)
			using = good
		}
		retry.Stop()
		if len(using) < len(s.o.Endpoints) {
			retry.Reset(retryEndpoints)
		}
		if !s.pause(s.ctx, suspectEndpoints) {
			return
		}
	}
}

// answeringEndpoints asks all at once.
func (s *Source) answeringEndpoints() (good []string) {
	ctx, cancel := context.WithTimeout(s.ctx, s.o.DialTimeout/2)
	defer cancel()
	answers := make([]bool, len(s.o.Endpoints))
	var wg sync.WaitGroup
	var first sync.Once
	for i, e := range s.o.Endpoints {
		wg.Go(func() {
			r, err := s.client.Load().Status(ctx, e)
			// One that answers with a refusal is there.
			answers[i] = err == nil && r.Leader != 0 || err != nil && ctx.Err() == nil && status.Code(err) != codes.Unavailable
			if answers[i] {
				first.Do(func() { time.AfterFunc(laterThanFirst, cancel) })
			}
		})
	}
	wg.Wait()
	for i, e := range s.o.Endpoints {
		if answers[i] {
			good = append(good, e)
		}
	}
	return good
}
