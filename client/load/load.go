// Package load is the verifying load generator behind `tidepool bench`.
//
// It opens connections to one memcached address and sends a mix of gets and sets, either in a closed loop (each connection keeps
// Depth requests in flight and sends the next ones when those are answered: what is measured is throughput) or in an open
// one (requests are due at a fixed rate, whether or not earlier ones are answered, and a latency counts from when its request
// was due, so that a stall counts for everyone who would have waited).
//
// Every value is verified. A value names its key and a version and is filled from both, so a wrong, foreign, cut or mixed up one is
// known. A key is written by one connection only, which also knows the version that it must read back. A miss is no wrong
// answer: caches evict.
//
// Run may be called concurrently. The generator shares the machine with what it measures: figures are for comparing in one run on
// one machine.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/stat"
)

// Options say what to send. The zero value of each field but Addr is its default.
type Options struct {
	Addr     string        // host:port or unix:/path
	Remote   bool          // allows an address outside loopback
	Conns    int           // connections; 0: 16
	Depth    int           // requests in flight on each; 0: 1
	Rate     float64       // requests a second in all, in an open loop; 0: closed loop
	Duration time.Duration // of the measured part; 0: 5 s
	Size     int           // bytes of a value; 0: 100. At least 48.
	Keys     int           // number of keys; 0: 10,000
	Prefix   string        // of every key
	Zipf     float64       // skew of the keys; 0: uniform
	Sets     float64       // share of sets; negative: none. 0: 0.1
	Meta     bool          // mg and ms in place of get and set
	Multiget int           // keys of one get; 0: 1. A multiget counts as one request.
	NoFill   bool          // do not set every key before measuring
	Seed     uint64        // of everything random; 0: 1
	PIDs     []int         // processes whose CPU time is measured
	Timeout  time.Duration // longest silence of the address; 0: 10 s
	Progress io.Writer     // told how it goes, once a second; nil: nobody
}

const minSize = 48

func (o *Options) setDefaults() error {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.Conns, 16)
	def(&o.Depth, 1)
	def(&o.Size, 100)
	def(&o.Keys, 10_000)
	def(&o.Multiget, 1)
	if o.Duration == 0 {
		o.Duration = 5 * time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Sets == 0 {
		o.Sets = 0.1
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	switch {
	case o.Conns < 1, o.Depth < 1, o.Multiget < 1, o.Rate < 0, o.Zipf < 0, o.Duration < 0:
		return errors.New("cannot run the load: connections, depth, multiget, rate, zipf and duration must be positive")
	case o.Keys < o.Conns:
		return fmt.Errorf("cannot run the load: %d keys for %d connections, want a key for each connection at least", o.Keys, o.Conns)
	case o.Sets > 1:
		return fmt.Errorf("cannot run the load: share of sets %v, want 0 to 1", o.Sets)
	case o.Size < minSize+len(o.Prefix):
		return fmt.Errorf("cannot run the load: values of %d bytes cannot be verified, want at least %d", o.Size, minSize+len(o.Prefix))
	case o.Meta && o.Multiget > 1:
		return errors.New("cannot run the load: the meta protocol has no multiget")
	case strings.ContainsAny(o.Prefix, " \r\n"):
		return fmt.Errorf("cannot run the load: prefix %q holds a space or a line end", o.Prefix)
	}
	if _, _, err := net.SplitHostPort(o.Addr); err != nil && !strings.HasPrefix(o.Addr, "unix:") {
		return fmt.Errorf("cannot run the load: %q is no address, want host:port or unix:/path", o.Addr)
	}
	if !o.Remote && !loopback(o.Addr) {
		return fmt.Errorf("cannot run the load: %q is not on this machine (--remote allows it)", o.Addr)
	}
	return nil
}

func loopback(addr string) bool {
	if strings.HasPrefix(addr, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// run is one Run under way.
type run struct {
	o       Options
	latency *stat.Histogram
	count   *stat.Counters
	end     time.Time
	zipf    *Zipf
}

// What run.count counts.
const (
	requests = iota
	hits
	misses
	errorLines
	wrong
	counters
)

// Run sends the load until Duration has passed or ctx ends. An error means that the load could not be run to its end: the
// address cannot be reached, or a connection was lost or fell silent.
func Run(ctx context.Context, o Options) (Report, error) {
	if err := o.setDefaults(); err != nil {
		return Report{}, err
	}
	r := &run{o: o, latency: stat.NewHistogram(), count: stat.NewCounters(counters)}
	if o.Zipf > 0 {
		r.zipf = NewZipf(o.Keys, o.Zipf)
	}
	conns := make([]*conn, o.Conns)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.nc.Close()
			}
		}
	}()
	for i := range conns {
		c, err := r.dial(i)
		if err != nil {
			return Report{}, err
		}
		conns[i] = c
	}
	stop := context.AfterFunc(ctx, func() {
		for _, c := range conns {
			c.nc.SetDeadline(time.Now())
		}
	})
	defer stop()
	if !o.NoFill {
		if err := each(conns, (*conn).fill); err != nil {
			return Report{}, fmt.Errorf("cannot set the keys: %w", err)
		}
	}
	cpu, err := cpuTimes(o.PIDs)
	if err != nil {
		return Report{}, err
	}
	begin := time.Now()
	r.end = begin.Add(o.Duration)
	quiet := r.progress(begin)
	turn := (*conn).closedLoop
	if o.Rate > 0 {
		turn = (*conn).openLoop
	}
	err = each(conns, turn)
	took := time.Since(begin)
	quiet()
	after, cpuErr := cpuTimes(o.PIDs)
	if err == nil {
		err = cpuErr
	}
	return r.report(took, cpu, after), err
}

// each runs f for every connection at once and gives the first error.
func each(conns []*conn, f func(*conn) error) error {
	errs := make(chan error, len(conns))
	for _, c := range conns {
		go func() { errs <- f(c) }()
	}
	var first error
	for range conns {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// progress says how it goes, once a second, until the function that it returns is called.
func (r *run) progress(begin time.Time) (stop func()) {
	if r.o.Progress == nil {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		var last uint64
		for {
			select {
			case <-done:
				return
			case <-t.C:
			}
			n := r.count.Value(requests)
			fmt.Fprintf(r.o.Progress, "%4.0fs %9d requests/s, %d errors, %d wrong\n",
				time.Since(begin).Seconds(), n-last, r.count.Value(errorLines), r.count.Value(wrong))
			last = n
		}
	})
	return func() { close(done); wg.Wait() }
}

// random is the generator of one connection.
func (r *run) random(i int) *rand.Rand { return rand.New(rand.NewPCG(r.o.Seed, uint64(i))) }
