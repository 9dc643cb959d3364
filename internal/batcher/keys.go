// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// keyer makes the key of a request of its client metadata, the attributes of a resource and of an item, and what expressions find there; and
// client metadata of the key again.
//
// A key is, for each name of metadata in turn, the number of values and then each value with its length before it; and then
// for each of names the type of its value, 0 if there is none, and the value as text with its length before it. All
// numbers are unsigned varints. So it is injective: no two combinations share a key, whatever their values contain; a name
// without a value differs from one with an empty value, and the string "1" from the number 1. Lists and maps are injective as
// texts, see [signal.AppendText].
type keyer struct {
	metadata  []string     // names, in lower case
	resource  []string     // attributes
	attribute []string     // of items
	names     []string     // of the values of resource, of expressions of resources, of attribute and of other expressions. See clientName
	expressed bool         // some are of expressions
	met       *atomic.Bool // a request had a value for one of metadata
}

const (
	settingResource    = "resource_keys"
	settingAttributes  = "attribute_keys"
	settingExpressions = "key_expressions"
)

// newKeyer makes one for attributes of resources and of items, and for expressions of resources (above) and of what is below them, by their names.
func newKeyer(metadata, resource, above, attribute, below []string) keyer {
	k := keyer{resource: resource, attribute: attribute, expressed: len(above)+len(below) > 0, met: new(atomic.Bool)}
	for _, name := range metadata {
		k.metadata = append(k.metadata, strings.ToLower(name))
	}
	slices.Sort(k.metadata)
	for _, name := range slices.Concat(resource, above, attribute, below) {
		k.names = append(k.names, k.clientName(name))
	}
	return k
}

// clientName returns the name in the client metadata of batches; "" if metadata_keys has that name, whose values the batch gets then.
func (k *keyer) clientName(name string) string {
	name = strings.ToLower(name)
	if slices.Contains(k.metadata, name) {
		return ""
	}
	return name
}

func (k *keyer) none() bool { return len(k.metadata)+len(k.names) == 0 }

// settings names what keys are made of, but for the client metadata.
func (k *keyer) settings() string {
	var all []string
	if len(k.resource) > 0 {
		all = append(all, settingResource)
	}
	if len(k.attribute) > 0 {
		all = append(all, settingAttributes)
	}
	if k.expressed {
		all = append(all, settingExpressions)
	}
	return strings.Join(all, " and ")
}

// appendClient appends the part of a key that is the same for all of a request.
func (k *keyer) appendClient(ctx context.Context, b []byte) []byte {
	if len(k.metadata) == 0 {
		return b
	}
	metadata, found := client.FromContext(ctx).Metadata, false
	for _, name := range k.metadata {
		values := metadata.Get(name)
		found = found || len(values) > 0
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			b = appendText(b, v)
		}
	}
	if found && !k.met.Load() {
		k.met.Store(true)
	}
	return b
}

// neverMet reports whether no request so far had a value for one of the names of metadata.
func (k *keyer) neverMet() bool { return len(k.metadata) > 0 && !k.met.Load() }

// maxKeyText is the most bytes that the text of an attribute may have: a key is kept as long as anything of it is pending, and
// goes out with each batch as client metadata.
const maxKeyText = 16 << 10

// appendResource appends the values of resource. It fails, permanently, if the text of one is too long.
func (k *keyer) appendResource(b []byte, attributes pcommon.Map) (_ []byte, err error) {
	for _, attribute := range k.resource {
		v, ok := attributes.Get(attribute)
		if b, err = appendAttribute(b, v, ok, settingResource, attribute); err != nil {
			return b, err
		}
	}
	return b, nil
}

// appendAttribute appends the value of an attribute, or that there is none. It fails, permanently, if its text is too long.
func appendAttribute(b []byte, v pcommon.Value, ok bool, setting, attribute string) ([]byte, error) {
	if !ok {
		return append(b, 0), nil
	}
	b, short := appendValue(b, v)
	if !short {
		return b, tooLong(setting, "attribute", attribute)
	}
	return b, nil
}

// tooLong is the error for a value, of what has this name, whose text has more than maxKeyText bytes.
func tooLong(setting, what, name string) error {
	return consumererror.NewPermanent(fmt.Errorf(
		"%s: %s %q has more than %d bytes as text, which is the most that a key takes", setting, what, name, maxKeyText))
}

// appendValue appends a value with its type, unless its text is too long.
func appendValue(b []byte, v pcommon.Value) (_ []byte, short bool) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return appendString(b, v.Str())
	case pcommon.ValueTypeInt:
		return appendInt(b, v.Int()), true
	default:
		text, short := signal.AppendText(nil, v, maxKeyText)
		if !short {
			return b, false
		}
		return appendText(append(b, byte(v.Type())+1), text), true
	}
}

// appendString is appendValue for a string.
func appendString(b []byte, s string) (_ []byte, short bool) {
	if len(s) > maxKeyText {
		return b, false
	}
	return appendText(append(b, byte(pcommon.ValueTypeStr)+1), s), true
}

// appendInt is appendValue for an integer.
func appendInt(b []byte, n int64) []byte {
	var digits [20]byte
	return appendText(append(b, byte(pcommon.ValueTypeInt)+1), strconv.AppendInt(digits[:0], n, 10))
}

func appendText[T string | []byte](b []byte, text T) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// context returns ctx with what key was made of as the client's metadata, and nothing else of any client.
func (k *keyer) context(ctx context.Context, key string) context.Context {
	if k.none() {
		return ctx
	}
	return client.NewContext(ctx, client.Info{Metadata: client.NewMetadata(k.values(key))})
}

// values returns what key was made of, by the names of client metadata.
func (k *keyer) values(key string) map[string][]string {
	number := func() int {
		// A key is ours, so it is well formed; and as it came from a []byte of these lengths, they fit an int.
		n, size := binary.Uvarint([]byte(key[:min(len(key), binary.MaxVarintLen64)]))
		key = key[size:]
		return int(n)
	}
	text := func() string {
		length := number()
		t := key[:length]
		key = key[length:]
		return t
	}
	metadata := make(map[string][]string, len(k.metadata)+len(k.names))
	for _, name := range k.metadata {
		for range number() {
			metadata[name] = append(metadata[name], text())
		}
	}
	for _, name := range k.names {
		if number() == 0 {
			continue
		}
		if value := text(); name != "" {
			metadata[name] = []string{value}
		}
	}
	return metadata
}

// fields name the values of a key, for a log; none: there are no keys.
func (k *keyer) fields(key string) []zap.Field {
	if k.none() || key == "" {
		return nil
	}
	return []zap.Field{zap.Any("key", k.values(key))}
}
