// SPDX-License-Identifier: Apache-2.0

package signal

import "go.opentelemetry.io/collector/pdata/pcommon"

// keyOrder is how the keys of some attributes stood, and in which order they are written. The points of a metric mostly have the same keys, as they
// stand, so that only the first of them is sorted. It keeps nothing of a payload.
type keyOrder struct {
	n    int               // attributes; 0: it is that of none
	text []byte            // their keys as they stood, as the Encoder writes them
	keys [fewPairs]keyText // in text
	by   [fewPairs]uint8   // their positions, in the order of their keys
}

// keyText is where a key stands in a text: its length from begin to key, and the key itself from there to end.
type keyText struct{ begin, key, end int }

// fewPairs is how many attributes are sorted on the stack.
const fewPairs = 16

// sorted writes attributes in the order of their keys. Should a key be there twice, its values stay in their order.
func (e *Encoder) sorted(m pcommon.Map) {
	switch {
	case m.Len() > fewPairs:
		e.sortMany(m)
	case !e.sameOrder(m):
		e.sort(m)
	}
}

// sameOrder writes attributes whose keys are those of the ones that were sorted last, in the same places. If they are not, it writes nothing and
// reports false.
func (e *Encoder) sameOrder(m pcommon.Map) bool {
	o := &e.order
	if m.Len() != o.n {
		return false
	}
	var values [fewPairs]pcommon.Value
	n := 0
	for k, v := range m.All() {
		if key := o.keys[n]; k != string(o.text[key.key:key.end]) {
			return false
		}
		values[n] = v
		n++
	}
	for _, at := range o.by[:n] {
		e.buf = append(e.buf, o.text[o.keys[at].begin:o.keys[at].end]...)
		e.value(values[at])
	}
	return true
}

// sort writes attributes that are few.
func (e *Encoder) sort(m pcommon.Map) {
	var pairs [fewPairs]struct { // in their order
		key      string
		from, to int // where it was written
		at       uint8
	}
	o := &e.order
	o.n, o.text = 0, o.text[:0]
	begin, n, sorted := len(e.buf), 0, true
	for k, v := range m.All() {
		from := len(e.buf)
		e.text(k)
		o.keys[n].begin = len(o.text)
		o.text = append(o.text, e.buf[from:]...)
		o.keys[n].key, o.keys[n].end = len(o.text)-len(k), len(o.text)
		e.value(v)
		at := n
		for ; at > 0 && k < pairs[at-1].key; at-- { // insertion, which is stable
			pairs[at] = pairs[at-1]
			sorted = false
		}
		pairs[at].key, pairs[at].from, pairs[at].to, pairs[at].at = k, from, len(e.buf), uint8(n)
		n++
	}
	for i := range n {
		o.by[i] = pairs[i].at
	}
	if o.n = n; len(o.text) > maxText {
		*o = keyOrder{}
	}
	if sorted {
		return
	}
	end := len(e.buf)
	for i := range n {
		e.buf = append(e.buf, e.buf[pairs[i].from:pairs[i].to]...)
	}
	copy(e.buf[begin:], e.buf[end:])
	e.buf = e.buf[:end]
}

func (e *Encoder) sortMany(m pcommon.Map) {
	e.walk.sort(m) // no walk is under way, so these are all pairs
	for i := range m.Len() {
		p := e.walk.pairs[i]
		e.text(p.key)
		e.value(p.value)
	}
	e.walk.drop(0)
}
