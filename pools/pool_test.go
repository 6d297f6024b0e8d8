package pools

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidepool-proxy/tidepool/engine/stat"
	"github.com/tidepool-proxy/tidepool/pools/backend"
)

// The options choose the same places as memcached's proxy; hash's own tests have the rest of the golden vectors.
func TestPoolPlaces(t *testing.T) {
	four := []Member{
		{Backend: &fake{name: "0"}, Host: "127.0.0.1", Port: "11211"},
		{Backend: &fake{name: "1"}, Host: "127.0.0.1", Port: "11212"},
		{Backend: &fake{name: "2"}, Host: "10.1.2.3", Port: "11211"},
		{Backend: &fake{name: "3"}, Host: "cache-a.example", Port: "11999"},
	}
	f := func(o Options, key string, want int) {
		t.Helper()
		i, b := mustPool(t, o, four).Pick([]byte(key))
		if i != want || b != four[want].Backend {
			t.Errorf("%+v: %q goes to %d, want %d", o, key, i, want)
		}
	}
	f(Options{}, "foo", 2)
	f(Options{Dist: DistJump, Hash: HashXXH3}, "foo", 2)
	f(Options{Dist: DistRing}, "foo", 3)
	f(Options{Dist: DistRing, OMode: "ketama", Hash: HashMD5}, "a", 3)
	f(Options{Dist: DistRing, OMode: "twemproxy", Hash: HashMD5}, "foo", 0)
	f(Options{Dist: DistRing, OMode: "evcache", Hash: HashMD5}, "foo:bar", 0)
	f(Options{Filter: "stop", FilterConf: "|#|"}, "foo|#|whatever", 2)
	f(Options{Filter: "tags", FilterConf: "{}"}, "x{foo}y", 2)
	f(Options{Filter: "tags", FilterConf: "{}"}, "foo", 2)
}

// A seed moves keys, and the same seed moves them to the same places.
func TestPoolSeed(t *testing.T) {
	ms := fakes("a", "b", "c", "d")
	plain, one, same := mustPool(t, Options{}, ms), mustPool(t, Options{Seed: "failover"}, ms), mustPool(t, Options{Seed: "failover"}, ms)
	moved := 0
	for i := range 1000 {
		key := fmt.Appendf(nil, "key:%d", i)
		x, _ := plain.Pick(key)
		y, _ := one.Pick(key)
		if z, _ := same.Pick(key); z != y {
			t.Fatalf("%s: %d and %d with one seed", key, y, z)
		}
		if x != y {
			moved++
		}
	}
	if moved < 600 || moved > 900 { // three in four
		t.Errorf("the seed moved %d of 1000 keys", moved)
	}
}

func TestPoolErrors(t *testing.T) {
	f := func(o Options, ms []Member, want string) {
		t.Helper()
		if _, err := New(o, ms); err == nil || err.Error() != want {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	f(Options{Filter: "tag"}, nil, "unknown hash filter specified: tag")
	f(Options{Filter: "tags"}, nil, "hash filter requires 'filter_conf' string")
	f(Options{Filter: "stop", FilterConf: "x"}, nil, "hash filter conf must be between 2 and 5 characters")
	f(Options{Dist: DistRing, OMode: "libketama"}, nil, "ring_hash: bad omode argument")
	f(Options{Dist: DistRing, OBuckets: -1}, nil, "ring_hash: option argument must be a positive integer")
	f(Options{Dist: "modulo"}, nil, "unknown key distribution specified: modulo")
	f(Options{Hash: "crc"}, nil, "unknown hash specified: crc (there are crc16, crc32, crc32a, fnv1_32, fnv1_64, fnv1a_32, fnv1a_64, hsieh, jenkins, md5, murmur, murmur3, murmur3_seed0, one_at_a_time, xxh3, xxhash)")
	f(Options{Name: "p"}, make([]Member, 2), `cannot set members of pool "p": members[1] has no backend`)
	f(Options{Dist: DistRendezvous}, fakes("a", "a"), `rendezvous: two backends are named "a"`)
}

func TestPoolSend(t *testing.T) {
	ms := fakes("a", "b", "c")
	h := map[string]*stat.Histogram{}
	p := mustPool(t, Options{Name: "foo", Latency: func(pool, be string) *stat.Histogram {
		h[pool+"/"+be] = new(stat.Histogram)
		return h[pool+"/"+be]
	}}, ms)
	var w tally
	for i := range 300 {
		key := fmt.Sprintf("key:%d", i)
		pe := &backend.Pending{Waiter: &w}
		p.Send(get(t, key), pe)
		if _, want := p.Pick([]byte(key)); pe.Backend != want {
			t.Fatalf("%s was sent to %v, Pick says %v", key, pe.Backend, want)
		}
		if pe.Latency == nil || pe.Latency != h["foo/"+pe.Backend.Name()] {
			t.Fatalf("%s has another backend's latency", key)
		}
	}
	for _, m := range ms {
		if n := m.Backend.(*fake).sent.Load(); n < 50 {
			t.Errorf("%s got %d of 300 keys", m.Backend.Name(), n)
		}
	}
	if w.done.Load() != 300 {
		t.Errorf("%d answers", w.done.Load())
	}
}

// A base64 key is hashed as written, as upstream: the same item in two spellings may be in two places.
func TestPoolBase64(t *testing.T) {
	p := mustPool(t, Options{}, fakes("a", "b", "c", "d", "e", "f", "g"))
	pe := &backend.Pending{Waiter: new(tally)}
	p.Send(request(t, "mg Zm9v b v\r\n"), pe)
	if _, want := p.Pick([]byte("Zm9v")); pe.Backend != want {
		t.Errorf("sent to %v, want %v", pe.Backend.Name(), want.Name())
	}
}

func TestPoolEmpty(t *testing.T) {
	for _, d := range []Dist{DistJump, DistRing, DistRendezvous} {
		p := mustPool(t, Options{Dist: d}, nil)
		if i, b := p.Pick([]byte("k")); i != -1 || b != nil {
			t.Errorf("%s: %d, %v", d, i, b)
		}
		var w tally
		pe := &backend.Pending{Waiter: &w}
		p.Send(get(t, "k"), pe)
		if !errors.Is(pe.Err, backend.ErrNoBackend) || w.done.Load() != 1 || w.wakes.Load() != 1 {
			t.Errorf("%s: %v, told %d times, woken %d times", d, pe.Err, w.done.Load(), w.wakes.Load())
		}
	}
}

// What has no single answer is answered here, in a backend's words, before any backend sees it.
func TestPoolRefuses(t *testing.T) {
	f := func(line, want string) {
		t.Helper()
		ms := fakes("a")
		var w tally
		pe := &backend.Pending{Waiter: &w}
		mustPool(t, Options{}, ms).Send(request(t, line), pe)
		if string(pe.Resp.Raw) != want || pe.Resp.OK() || pe.Err != nil {
			t.Errorf("%.40q: %q, %v; want %q", line, pe.Resp.Raw, pe.Err, want)
		}
		if w.done.Load() != 1 || w.wakes.Load() != 1 || ms[0].Backend.(*fake).sent.Load() != 0 {
			t.Errorf("%.40q: told %d times, woken %d times, sent %d", line, w.done.Load(), w.wakes.Load(), ms[0].Backend.(*fake).sent.Load())
		}
	}
	f("get a b\r\n", "CLIENT_ERROR parsing request\r\n")
	f("gats 0 a b c\r\n", "CLIENT_ERROR parsing request\r\n")
}

func TestSetMembers(t *testing.T) {
	p := mustPool(t, Options{Name: "p", Dist: DistRendezvous}, fakes("a"))
	f := func(epoch uint64, ms []Member, wantErr, wantNames string, wantEpoch uint64) {
		t.Helper()
		err := p.SetMembers(epoch, ms)
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || err.Error() != wantErr) {
			t.Errorf("epoch %d: %v, want %q", epoch, err, wantErr)
		}
		var names []string
		for _, m := range p.Members() {
			names = append(names, m.Name)
		}
		if got := strings.Join(names, " "); got != wantNames || p.Epoch() != wantEpoch {
			t.Errorf("epoch %d: now %q at %d, want %q at %d", epoch, got, p.Epoch(), wantNames, wantEpoch)
		}
	}
	f(5, fakes("a", "b"), "", "a b", 5)
	f(5, fakes("b"), "", "b", 5)
	f(4, fakes("a", "b", "c"), `cannot set members of pool "p": epoch 4 is older than 5`, "b", 5)
	f(6, fakes("x", "x"), `rendezvous: two backends are named "x"`, "b", 5)
	f(6, nil, "", "", 6)
	f(7, fakes("c"), "", "c", 7)

	ms := fakes("d")
	f(8, ms, "", "d", 8)
	ms[0].Name = "changed by the caller"
	if got := p.Members()[0].Name; got != "d" {
		t.Errorf("the caller's list is shared: %q", got)
	}
}

// Requests that run while the membership is swapped go to a member of the old or of the new one, every one answered once.
func TestSetMembersUnderLoad(t *testing.T) {
	for _, d := range []Dist{DistJump, DistRing, DistRendezvous} {
		all := fakes("a", "b", "c", "d", "e", "f")
		p := mustPool(t, Options{Dist: d}, all[:1])
		stop := make(chan struct{})
		var wg sync.WaitGroup
		var sent [4]int64
		var w tally
		for c := range sent {
			r := get(t, fmt.Sprintf("key:%d", c))
			wg.Go(func() {
				for {
					pe := &backend.Pending{Waiter: &w}
					p.Send(r, pe)
					sent[c]++
					if pe.Err != nil && !errors.Is(pe.Err, backend.ErrNoBackend) {
						t.Errorf("%v", pe.Err)
						return
					}
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		reached := func() (n int64) {
			for _, m := range all {
				n += m.Backend.(*fake).sent.Load()
			}
			return n
		}
		end := time.Now().Add(20 * time.Second)
		for i := 0; i < 100 || (w.done.Load() < 2000 || reached() == 0) && time.Now().Before(end); i++ { // both sides get their turns, and not only while there is none
			n := i % (len(all) + 1) // none at all, too
			if err := p.SetMembers(uint64(i+1), all[:n]); err != nil {
				t.Error(err)
			}
			runtime.Gosched()
		}
		close(stop)
		wg.Wait()
		var want int64
		for _, n := range sent {
			want += n
		}
		if w.done.Load() != want || reached() == 0 {
			t.Errorf("%s: %d sent, %d answered, %d by backends", d, want, w.done.Load(), reached())
		}
	}
}

func TestPoolNoAllocation(t *testing.T) {
	r := get(t, "user:{1234567890}")
	var w tally
	pe := &backend.Pending{Waiter: &w}
	for _, o := range []Options{
		{},
		{Dist: DistRing, OMode: "ketama", Hash: HashMD5, Filter: "tags", FilterConf: "{}"},
		{Dist: DistRendezvous, Seed: "s", Filter: "stop", FilterConf: "|#|"},
	} {
		p := mustPool(t, o, fakes("a", "b", "c"))
		if n := testing.AllocsPerRun(100, func() { p.Send(r, pe) }); n != 0 {
			t.Errorf("%+v: Send allocates %v times", o, n)
		}
	}
}

func BenchmarkPoolSend(b *testing.B) {
	p := mustPool(b, Options{}, fakes("a", "b", "c"))
	r := get(b, "user:1234567890")
	pe := &backend.Pending{Waiter: new(tally)}
	b.ReportAllocs()
	for b.Loop() {
		p.Send(r, pe)
	}
}
