// Package load is the verifying load generator behind `tidepool bench`.
//
// It opens connections to one memcached address and sends a mix of gets and sets, either in a closed loop (each connection keeps
// Depth requests in flight and sends the next ones when those are answered: what is measured is throughput) or in an open
// one (requests are due at a fixed rate, whether or not earlier ones are answered, and a latency counts from when its request
// was due, so that a stall counts for everyone who would have waited).
//
// Every value is verified. A value names its key and a version, its length and all its bytes follow from both, so a wrong, foreign,
// cut or mixed up one is known. A key is written by one connection only, which also knows the version that it must read back. A miss is no wrong
// answer: caches evict.
//
// Run may be called concurrently. The generator shares the machine with what it measures: figures are for comparing in one run on
// one machine, and the report says what share of it the generator took. So that this is little, a request allocates nothing, the
// clock is asked once for a batch that is sent and once for what a read brings, deadlines are moved only when one has passed, and
// every connection counts for itself.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what to send. The zero value of each field but Addr is its default.
type Options struct {
	Addr     string        // host:port or unix:/path
	Name     string        // what the report is to be called
	Remote   bool          // allows an address outside loopback
	Conns    int           // connections; 0: 16
	Depth    int           // requests in flight on each, or in an open loop due on it at once; 0: 1
	Rate     float64       // requests a second in all, in an open loop; 0: closed loop
	Duration time.Duration // of the measured part; 0: 5 s
	Sizes    Sizes         // bytes of values, 48 and the prefix at least
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
	def(&o.Keys, 10_000)
	def(&o.Multiget, 1)
	if o.Sizes.spans == nil {
		o.Sizes = Fixed(100)
	}
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
	case o.Keys > math.MaxInt32:
		return fmt.Errorf("cannot run the load: %d keys, want at most %d", o.Keys, math.MaxInt32)
	case o.Sizes.min() < minSize+len(o.Prefix):
		return fmt.Errorf("cannot run the load: values of %d bytes cannot be verified, want at least %d", o.Sizes.min(), minSize+len(o.Prefix))
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
	base    time.Time
	begin   time.Duration // of the measured part, on the run's clock
	end     time.Duration // of it
	sets    uint64        // share of sets, of 1<<32
	zipf    *Zipf         // nil: uniform
	stopped atomic.Bool
	conns   []*conn
}

// clock is the time since the run's beginning. time.Since asks for less than time.Now.
func (r *run) clock() time.Duration { return time.Since(r.base) }

// What a connection counts.
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
	r := &run{o: o, base: time.Now(), sets: uint64(max(0, o.Sets) * (1 << 32))}
	if o.Zipf > 0 {
		r.zipf = NewZipf(o.Keys, o.Zipf)
	}
	defer func() {
		for _, c := range r.conns {
			c.nc.Close()
		}
	}()
	for i := range o.Conns {
		c, err := r.dial(i)
		if err != nil {
			return Report{}, err
		}
		r.conns = append(r.conns, c)
	}
	defer context.AfterFunc(ctx, r.stop)()
	if !o.NoFill {
		if err := r.each((*conn).fill); err != nil {
			return Report{}, fmt.Errorf("cannot set the keys: %w", err)
		}
	}
	before, err := usageNow(o.PIDs)
	if err != nil {
		return Report{}, err
	}
	r.begin = r.clock()
	r.end = r.begin + o.Duration
	quiet := r.progress()
	if o.Rate > 0 {
		err = r.openLoop(r.conns)
	} else {
		err = r.each((*conn).closedLoop)
	}
	took := r.clock() - r.begin
	quiet()
	after, usageErr := usageNow(o.PIDs)
	if err == nil {
		err = usageErr
	}
	return r.report(took, before, after), err
}

// stop ends the run early: every connection finds its deadline passed.
func (r *run) stop() {
	r.stopped.Store(true)
	for _, c := range r.conns {
		_ = c.nc.SetDeadline(time.Now())
	}
}

// each runs f for every connection at once and gives the first error, after which all stop.
func (r *run) each(f func(*conn) error) error {
	errs := make(chan error, len(r.conns))
	for _, c := range r.conns {
		go func() { errs <- f(c) }()
	}
	return r.first(errs)
}

// first waits for as many errors as the channel holds, and stops the run at the first that is one.
func (r *run) first(errs <-chan error) (first error) {
	for range cap(errs) {
		if err := <-errs; err != nil && first == nil {
			first = err
			r.stop()
		}
	}
	return first
}

// told is what all connections have said so far of one counter.
func (r *run) told(counter int) (n int64) {
	for _, c := range r.conns {
		n += c.published[counter].Load()
	}
	return n
}

// progress says how it goes, once a second, until the function that it returns is called.
func (r *run) progress() (stop func()) {
	if r.o.Progress == nil {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		var last int64
		for {
			select {
			case <-done:
				return
			case <-t.C:
			}
			n := r.told(requests)
			fmt.Fprintf(r.o.Progress, "%4.0fs %9d requests/s, %d errors, %d wrong\n",
				(r.clock() - r.begin).Seconds(), n-last, r.told(errorLines), r.told(wrong))
			last = n
		}
	})
	return func() { close(done); wg.Wait() }
}
