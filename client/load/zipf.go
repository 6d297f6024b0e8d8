// Keys by popularity.

package load

import (
	"math"
	"math/rand/v2"
)

// Zipf draws ranks from 0 to n-1, rank k with a weight of (k+1)^-s, for any s > 0: rejection-inversion (W. Hörmann,
// G. Derflinger, "Rejection-inversion to generate variates from monotone discrete distributions", 1996). It is read-only.
type Zipf struct {
	n             float64
	s             float64
	hFirst, hLast float64
	squeeze       float64
}

// NewZipf gives a Zipf over n ranks.
func NewZipf(n int, s float64) *Zipf {
	z := &Zipf{n: float64(n), s: s}
	z.hFirst = z.integral(1.5) - 1
	z.hLast = z.integral(z.n + 0.5)
	z.squeeze = 2 - z.inverse(z.integral(2.5)-z.weight(2))
	return z
}

// integral is the integral of x^-s, up to a constant, stable near s = 1.
func (z *Zipf) integral(x float64) float64 {
	l := math.Log(x)
	return expm1Over((1-z.s)*l) * l
}

func (z *Zipf) weight(x float64) float64 { return math.Exp(-z.s * math.Log(x)) }

func (z *Zipf) inverse(x float64) float64 {
	t := max(x*(1-z.s), -1)
	return math.Exp(log1pOver(t) * x)
}

// expm1Over is (e^x - 1) / x, and log1pOver is log(1+x) / x, both 1 at 0.
func expm1Over(x float64) float64 {
	if math.Abs(x) < 1e-8 {
		return 1 + x/2
	}
	return math.Expm1(x) / x
}

func log1pOver(x float64) float64 {
	if math.Abs(x) < 1e-8 {
		return 1 - x/2
	}
	return math.Log1p(x) / x
}

// Draw gives the next rank.
func (z *Zipf) Draw(r *rand.Rand) int {
	for {
		u := z.hLast + r.Float64()*(z.hFirst-z.hLast)
		x := z.inverse(u)
		k := min(max(math.Floor(x+0.5), 1), z.n)
		if k-x <= z.squeeze || u >= z.integral(k+0.5)-z.weight(k) {
			return int(k) - 1
		}
	}
}
