// Sizes of values.

package load

import (
	"fmt"
	"strconv"
	"strings"
)

// Sizes says how many bytes values have. The zero value is 100 for each. A value's size follows from its key and version, so that a
// reader knows it.
type Sizes struct {
	spans []span
	total uint64 // of weights
}

// span is from min to max bytes, all equally likely.
type span struct {
	min, max int
	weight   uint64
}

// Fixed is size bytes for every value.
func Fixed(size int) Sizes { return Sizes{[]span{{size, size, 1}}, 1} }

// ParseSizes reads sizes in bytes: 100; 50-1000 for all between; 100,50-1000,8000 for one of several; 100:9,8000:1 for one of several with
// weights.
func ParseSizes(s string) (z Sizes, err error) {
	bad := func(part, want string) (Sizes, error) {
		return Sizes{}, fmt.Errorf("cannot read the sizes %q: %q: want %s", s, part, want)
	}
	for part := range strings.SplitSeq(s, ",") {
		sizes, weight, weighted := strings.Cut(part, ":")
		sp := span{weight: 1}
		if weighted {
			if sp.weight, err = strconv.ParseUint(weight, 10, 16); err != nil || sp.weight == 0 {
				return bad(part, "a weight of 1 to 65535 after the colon")
			}
		}
		low, high, ranged := strings.Cut(sizes, "-")
		if !ranged {
			high = low
		}
		if sp.min, err = strconv.Atoi(low); err != nil || sp.min < 1 {
			return bad(part, "bytes, or least-greatest")
		}
		if sp.max, err = strconv.Atoi(high); err != nil || sp.max < sp.min || sp.max > maxSize {
			return bad(part, fmt.Sprintf("bytes, or least-greatest, up to %d", maxSize))
		}
		z.spans, z.total = append(z.spans, sp), z.total+sp.weight
	}
	return z, nil
}

const maxSize = 1 << 30

// min is the least size.
func (z *Sizes) min() int {
	least := maxSize
	for _, s := range z.spans {
		least = min(least, s.min)
	}
	return least
}

// of is the size of the value that has this seed.
func (z *Sizes) of(seed uint64) int {
	if len(z.spans) == 1 && z.spans[0].min == z.spans[0].max {
		return z.spans[0].min
	}
	seed = (seed ^ seed>>31) * 0x94d049bb133111eb
	seed ^= seed >> 32
	at := seed >> 32 * z.total >> 32
	for _, s := range z.spans {
		if at < s.weight {
			return s.min + int(seed&(1<<32-1)*uint64(s.max-s.min+1)>>32)
		}
		at -= s.weight
	}
	panic("load: weights do not add up")
}
