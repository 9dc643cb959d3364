// SPDX-License-Identifier: Apache-2.0

package signal

// shares is one walk that adds up how many bytes of a payload each part of it would have.
type shares struct {
	of       []int            // the parts of the items that are left
	measures []Measure        // of each part, as far as its resources are complete
	at       [levels]struct { // the first is not used: see measures
		bytes []int // of each part: what it has in the container of this level that the walk is in, its own fields aside
		parts []int // those that have something in it
	}
}

// sizesOfItems is SizesOfItems.
func sizesOfItems[P movable[P], E movable[E], S slice[E]](p P, of []int, n int, root *branch[P, E, S]) []Measure {
	s := &shares{of: of, measures: make([]Measure, n)}
	all := make([]int, (levels-1)*n)
	for i := 1; i < levels; i++ {
		s.at[i].bytes, all = all[:n:n], all[n:]
	}
	root.shareChildren(p, s, 0)
	return s.measures
}

// next adds an item of so many bytes, encoded, to what its part has in the container of a level, and returns what it takes there.
func (s *shares) next(level, size int) int {
	k := s.of[0]
	s.of = s.of[1:]
	return s.add(level, k, size)
}

func (s *shares) add(level, k, size int) int {
	size = delimited(size)
	if level == 0 {
		s.measures[k].Add(size)
		return size
	}
	l := &s.at[level]
	if l.bytes[k] == 0 {
		l.parts = append(l.parts, k)
	}
	l.bytes[k] += size
	return size
}

// end ends a container of a level: each part of it has what whole makes of the bytes of its children.
func (s *shares) end(level int, whole func(children int) int) {
	l := &s.at[level]
	for _, k := range l.parts {
		s.add(level-1, k, whole(l.bytes[k]))
		l.bytes[k] = 0
	}
	l.parts = l.parts[:0]
}

// shareChildren shares out what is in c, and returns its bytes.
func (b *branch[C, E, S]) shareChildren(c C, s *shares, level int) (bytes int) {
	children := b.children(c)
	for i := range children.Len() {
		bytes += delimited(b.child.share(children.At(i), s, level+1))
	}
	return bytes
}

func (b *branch[C, E, S]) share(c C, s *shares, level int) (size int) {
	size = b.size(c)
	base := size - b.shareChildren(c, s, level)
	s.end(level, func(children int) int { return base + children })
	return size
}

func (l *leaf[C, E, S]) share(c C, s *shares, level int) (size int) {
	size = l.size(c)
	base := size - shareItems(l.records(c), s, level, l.record)
	s.end(level, func(items int) int { return base + items })
	return size
}

// shareItems shares out items, and returns their bytes. size measures one.
func shareItems[E any, S slice[E]](items S, s *shares, level int, size func(E) int) (bytes int) {
	for i := range items.Len() {
		bytes += s.next(level, size(items.At(i)))
	}
	return bytes
}
