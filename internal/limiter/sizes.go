// SPDX-License-Identifier: Apache-2.0

package limiter

// sizes learns which share of the latency of a call is due to its size, so that small calls and large ones can be compared: latency =
// mean latency × (1 - share + share × size / mean size). It is a line through the recent calls, by least squares that forget.
type sizes struct {
	n                    int
	mean, latency        float64
	variance, covariance float64
	share                float64 // from 0 to 1
}

const (
	forget     = 1.0 / 64
	leastCalls = 16
	leastWidth = 0.01 // of the mean size, squared: if all calls are alike, they say nothing of size
)

// normalise takes in a call, and returns its latency as if it had been of mean size.
func (s *sizes) normalise(latency, size float64) float64 {
	s.n++
	weight := max(forget, 1/float64(s.n))
	dx, dy := size-s.mean, latency-s.latency
	s.mean += weight * dx
	s.latency += weight * dy
	s.variance = (1 - weight) * (s.variance + weight*dx*dx)
	s.covariance = (1 - weight) * (s.covariance + weight*dx*dy)
	if s.n >= leastCalls && s.latency > 0 && s.variance > leastWidth*s.mean*s.mean {
		s.share = min(max(s.covariance/s.variance*s.mean/s.latency, 0), 1)
	}
	return latency * s.scale(s.mean, size)
}

// scale returns by what the latency of a call of one size differs from that of another.
func (s *sizes) scale(to, from float64) float64 {
	if from <= 0 {
		return 1
	}
	return (1 - s.share + s.share*to/s.mean) / (1 - s.share + s.share*from/s.mean)
}
