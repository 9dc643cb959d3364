// SPDX-License-Identifier: Apache-2.0

package signal

// Measure is how many bytes a payload has as OTLP protobuf and, if it has several resources, how many each of them is of it. To
// measure is to walk through all that a payload holds, which costs far more than to move it. So it is done once, before the
// payload is accepted, and whoever cuts it is told.
type Measure struct {
	Bytes int
	each  []int // of Bytes, what each resource is; nil: there is one, or nobody knows
}

// MeasureOf measures p. Not for profiles.
func MeasureOf[P any](s Signal[P], p P) (m Measure) {
	n := s.Resources(p)
	if n > 1 {
		m.each = make([]int, 0, n)
	}
	for i := range n {
		m.Add(s.SizeOf(p, i))
	}
	return m
}

// Add adds the next resource, which is so many bytes of a payload.
func (m *Measure) Add(size int) {
	if m.Bytes > 0 {
		if len(m.each) == 0 {
			m.each = append(m.each, m.Bytes)
		}
		m.each = append(m.each, size)
	}
	m.Bytes += size
}
