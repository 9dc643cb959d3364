// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"hash/maphash"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// PartitionBy is what decides between partitions.
type PartitionBy int

// The ways to decide. What has no trace, or none of the attributes, is spread by its resource.
const (
	ByResource PartitionBy = iota
	ByTrace
	ByAttributes
)

// String returns the word of the configuration.
func (by PartitionBy) String() string {
	return [...]string{ByResource: "resource", ByTrace: "trace", ByAttributes: "attributes"}[by]
}

// itemKeys finds the keys of the items of a payload, one after the other. It belongs to one goroutine, and may be used again.
type itemKeys[P any] struct {
	router  *router[P]
	use     func(*itemKeys[P]) bool // what to do with the key of each item; false: no more
	seen    func(*signal.Item) bool // see
	ctx     context.Context         // of the request
	payload P                       // of the walk that is under way

	// Of the item that the walk is at:

	item  signal.Item
	key   []byte
	same  bool // as that of the item before, without a look at it
	err   error
	count int // of the items before

	client    int           // how much of above is the same for all of the payload
	above     []byte        // the part of the key that hangs on the resource, and that of the client before it
	resource  int           // that above and values are of
	values    []inheritance // of the resource, by their names' places in items: found once, however many scopes inherit them
	partition string        // of that resource; "": not asked for yet
	scope     int           // that inherits and inherited are of
	inherits  []byte        // the values that an item without any of its own has
	ends      []int         // where they end in inherits
	inherited []byte        // above, and all of inherits: the key of such an item
	plain     bool          // the item before was one, of the same scope
	own       []byte        // the key of an item with a value of its own
	text      string        // that value, of the item before, if it is the only attribute and text; of the payload, so not kept
	again     bool          // text is set, and own is the key of the item before
	ofScope   []byte        // the values of expressions of the scope
	expressed []byte        // the key with the values of expressions below the resource

	first   []byte    // of compare
	items   int       // of compare: those of the payload
	whole   bool      // of compare: the payload cannot be taken apart
	several bool      // of compare
	parts   itemParts // of collect
}

// newWalk returns one for a payload. client is the part of the key that is the same for all of it.
func (o *router[P]) newWalk(ctx context.Context, client []byte) *itemKeys[P] {
	w, _ := o.walks.Get().(*itemKeys[P])
	if w == nil {
		w = &itemKeys[P]{router: o}
		w.seen = w.see
	}
	w.ctx, w.above, w.client = ctx, append(w.above[:0], client...), len(client)
	return w
}

// walk calls use with each item of payload.
func (w *itemKeys[P]) walk(payload P, use func(*itemKeys[P]) bool) error {
	w.payload, w.use, w.err, w.resource, w.scope, w.count = payload, use, nil, -1, -1, 0
	w.router.signal.Each(payload, &w.item, w.seen)
	var none P
	w.payload, w.item, w.text = none, signal.Item{}, "" // nothing of the payload is kept
	clear(w.values)
	return w.err
}

// end keeps w for the next payload, unless it has become large.
func (w *itemKeys[P]) end() {
	w.ctx, w.parts = nil, itemParts{}
	if cap(w.above)+cap(w.inherits)+cap(w.inherited)+cap(w.own)+cap(w.ofScope)+cap(w.expressed)+cap(w.first) <= maxKeyText {
		w.router.walks.Put(w)
	}
}

// inheritance is the value of an attribute of a resource, if it has one.
type inheritance struct {
	value pcommon.Value
	ok    bool
}

func (w *itemKeys[P]) see(it *signal.Item) bool {
	if it.ScopeNumber != w.scope && !w.enter(it) {
		return false
	}
	o := w.router
	w.same = false
	switch {
	case o.by == ByTrace && !it.Trace.IsEmpty():
		w.key = append(w.key[:0], o.partition(maphash.Bytes(o.seed, it.Trace[:]))...)
	case o.by == ByTrace:
		w.key = append(w.key[:0], w.partitionOfResource(it)...)
	case !w.ownKey(it):
		return false
	case o.by == ByAttributes:
		name := o.partition(maphash.Bytes(o.seed, w.key))
		if o.lacksAll(w.key) {
			name = w.partitionOfResource(it)
		}
		w.own = append(w.own[:0], name...)
		w.key, w.same = w.own, false
	case o.expresses && !w.express(it):
		return false
	}
	more := w.use(w)
	w.count++
	return more
}

// enter notes what the items of a scope inherit.
func (w *itemKeys[P]) enter(it *signal.Item) bool {
	o := w.router
	if it.Resource != w.resource {
		w.resource, w.partition = it.Resource, ""
		if w.above, w.err = o.appendResource(w.above[:w.client], it.ResourceAttributes()); w.err != nil {
			return false
		}
		if w.above, w.err = o.ofResource.appendTo(w.ctx, w.above, w.payload, it.Position); w.err != nil {
			return false
		}
		w.values = w.values[:0]
		for _, name := range o.items {
			v, ok := it.ResourceAttributes().Get(name)
			w.values = append(w.values, inheritance{v, ok})
		}
	}
	w.scope, w.plain, w.again = it.ScopeNumber, false, false
	w.inherits, w.ends = w.inherits[:0], w.ends[:0]
	for i := range o.items {
		v, ok := it.OfScope(o.items[i])
		if !ok {
			v, ok = w.values[i].value, w.values[i].ok
		}
		if w.inherits, w.err = appendAttribute(w.inherits, v, ok, o.itemSetting, o.items[i]); w.err != nil {
			return false
		}
		w.ends = append(w.ends, len(w.inherits))
	}
	w.inherited = append(append(w.inherited[:0], w.above...), w.inherits...)
	w.ofScope, w.err = o.ofScope.appendTo(w.ctx, w.ofScope[:0], w.payload, it.Position)
	return w.err == nil
}

// ownKey makes the key of an item of its values, its own before those that it inherits.
func (w *itemKeys[P]) ownKey(it *signal.Item) bool {
	items, own, begin := w.router.items, false, 0
	if len(items) == 1 { // mostly, and mostly with the value of the item before
		v, ok := it.Own(items[0])
		text := ok && v.Type() == pcommon.ValueTypeStr
		if text && w.again && v.Str() == w.text {
			w.key, w.same = w.own, true
			return true
		}
		if w.again = text && w.router.by != ByAttributes; w.again {
			w.text = v.Str()
		}
	}
	for i := range items {
		if v, ok := it.Own(items[i]); ok {
			if !own {
				own = true
				w.own = append(append(w.own[:0], w.above...), w.inherits[:begin]...)
			}
			if w.own, w.err = appendAttribute(w.own, v, true, w.router.itemSetting, items[i]); w.err != nil {
				return false
			}
		} else if own {
			w.own = append(w.own, w.inherits[begin:w.ends[i]]...)
		}
		begin = w.ends[i]
	}
	if own {
		w.key, w.plain = w.own, false
	} else {
		w.key, w.same, w.plain = w.inherited, w.plain, true
	}
	return true
}

// express appends the values of expressions to the key. Those of the scope are the same for the item before, if that is of it.
func (w *itemKeys[P]) express(it *signal.Item) bool {
	w.expressed = append(append(w.expressed[:0], w.key...), w.ofScope...)
	w.expressed, w.err = w.router.ofItem.appendTo(w.ctx, w.expressed, w.payload, it.Position)
	w.key, w.same = w.expressed, w.same && len(w.router.ofItem) == 0
	return w.err == nil
}

// lacksAll reports whether a key, of partition_attributes, is that of an item without any of them.
func (o *router[P]) lacksAll(key []byte) bool { return len(key) == len(o.items) }

func (w *itemKeys[P]) partitionOfResource(it *signal.Item) string {
	if w.partition == "" {
		w.partition = w.router.partition(signal.HashAttributes(w.router.seed, it.ResourceAttributes()))
	}
	return w.partition
}
