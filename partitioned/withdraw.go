// SPDX-License-Identifier: Apache-2.0

package partitioned

// share is what no batch has yet of the entries of one completion.
type share struct {
	entries int
	weight  Weight
	units   int64
}

func (s share) plus(w Weight, units int64) share {
	return share{s.entries + 1, s.weight.plus(w), s.units + units}
}

func (s share) minus(w Weight, units int64) share {
	return share{s.entries - 1, s.weight.minus(w), s.units - units}
}

// withdraw takes back what no batch has yet of the push that c stands for, and reports whether that was all of it. It costs
// O(streams of the push): the entries stay where they are until a cut skips them, or a sweep removes them.
//
// A cut and a withdrawal decide an entry under the completion's lock: whoever comes first has it. A cut that runs meanwhile is
// not waited for, as it may be in Split.
func (q *Queue[T]) withdraw(c *completion) (all bool) {
	c.abandon()
	all = true
	for _, part := range c.split() {
		s, ok := part.stream.(*stream[T])
		all = ok && q.withdrawPart(s, part) && all
	}
	return all
}

// withdrawPart is withdraw for one stream. s may be that of another key by now; then there is nothing left to take back.
func (q *Queue[T]) withdrawPart(s *stream[T], c *completion) (all bool) {
	p := s.partition
	p.mu.Lock()
	if p.mu.dead { // Shutdown has counted it as dropped, and told who waits
		p.mu.Unlock()
		return false
	}
	left, all := c.withdraw()
	waits := left.entries > 0 && q.takeBack(s, c, left)
	p.mu.Unlock()
	if left.entries == 0 {
		return all
	}
	c.completeSome(left.entries, ErrWithdrawn)
	if waits {
		q.roomOf(s)
	}
	return all
}

// takeBack books entries of c as returned, and reports whether somebody waits for their units. Partition's lock held.
func (q *Queue[T]) takeBack(s *stream[T], c *completion, left share) (waiting bool) {
	s.partition.mu.withdraw(int64(left.weight.Items))
	units := s.uncount(left.units) // before s may be forgotten
	s.withdraw(c, left)
	return q.gate.leave(units)
}

// withdraw books that entries of c were withdrawn, which stand in the drain or in what was written.
func (s *stream[T]) withdraw(c *completion, left share) {
	s.reserve(-left.units)
	s.backlog.withdraw(c, left)
	s.tidy()
}

// claimant returns the completion of the entries of one part of a push that c stands for: c, or one that forwards to it if the
// push has several parts. What is in a Map cannot be withdrawn, as entries of several callers may be one. Partition's lock held.
func (s *stream[T]) claimant(c *completion, all share) *completion {
	if c == nil || s.backlog.contiguous {
		return c
	}
	return c.claimant(s, s.backlog.swaps, all)
}
