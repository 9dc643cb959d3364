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

// keyer makes the key of a request of its client metadata and the attributes of a resource and of an item, and client metadata of the key
// again.
//
// A key is, for each name of metadata in turn, the number of values and then each value with its length before it; and then
// for each name of resource and of attribute the type of its value, 0 if there is none, and the value as text with its length before it. All
// numbers are unsigned varints. So it is injective: no two combinations share a key, whatever their values contain; a name
// without a value differs from one with an empty value, and the string "1" from the number 1. Lists and maps are injective as
// texts, see [signal.AppendText].
type keyer struct {
	metadata  []string // names, in lower case
	resource  []attributeKey
	attribute []attributeKey // of items
	met       *atomic.Bool   // a request had a value for one of metadata
}

// attributeKey is an attribute that is part of the key.
type attributeKey struct {
	attribute string
	name      string // in the batch's client metadata; "" if metadata_keys has that name, whose values the batch gets then
}

const (
	settingResource   = "resource_keys"
	settingAttributes = "attribute_keys"
)

func newKeyer(metadata, resource, attribute []string) (k keyer) {
	k.met = new(atomic.Bool)
	for _, name := range metadata {
		k.metadata = append(k.metadata, strings.ToLower(name))
	}
	slices.Sort(k.metadata)
	keys := func(attributes []string) (keys []attributeKey) {
		for _, attribute := range attributes {
			name := strings.ToLower(attribute)
			if slices.Contains(k.metadata, name) {
				name = ""
			}
			keys = append(keys, attributeKey{attribute, name})
		}
		return keys
	}
	k.resource, k.attribute = keys(resource), keys(attribute)
	return k
}

func (k *keyer) none() bool { return len(k.metadata)+len(k.resource)+len(k.attribute) == 0 }

// settings names what keys are made of, but for the client metadata.
func (k *keyer) settings() string {
	switch {
	case len(k.attribute) == 0:
		return settingResource
	case len(k.resource) == 0:
		return settingAttributes
	default:
		return settingResource + " and " + settingAttributes
	}
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

// appendResource appends the part of a key that hangs on the resource. It fails, permanently, if the text of a value is too long.
func (k *keyer) appendResource(b []byte, attributes pcommon.Map) (_ []byte, err error) {
	for _, key := range k.resource {
		v, ok := attributes.Get(key.attribute)
		if b, err = appendValue(b, v, ok, settingResource, key.attribute); err != nil {
			return b, err
		}
	}
	return b, nil
}

// appendValue appends the value of an attribute, or that there is none. It fails, permanently, if its text is too long.
func appendValue(b []byte, v pcommon.Value, ok bool, setting, attribute string) ([]byte, error) {
	if !ok {
		return append(b, 0), nil
	}
	b = append(b, byte(v.Type())+1)
	short := true
	switch v.Type() {
	case pcommon.ValueTypeStr:
		if short = len(v.Str()) <= maxKeyText; short {
			b = appendText(b, v.Str())
		}
	case pcommon.ValueTypeInt:
		var digits [20]byte
		b = appendText(b, strconv.AppendInt(digits[:0], v.Int(), 10))
	default:
		var text []byte
		if text, short = signal.AppendText(nil, v, maxKeyText); short {
			b = appendText(b, text)
		}
	}
	if !short {
		return b, consumererror.NewPermanent(fmt.Errorf(
			"%s: attribute %q has more than %d bytes as text, which is the most that a key takes", setting, attribute, maxKeyText))
	}
	return b, nil
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
	metadata := make(map[string][]string, len(k.metadata)+len(k.resource)+len(k.attribute))
	for _, name := range k.metadata {
		for range number() {
			metadata[name] = append(metadata[name], text())
		}
	}
	for _, keys := range [2][]attributeKey{k.resource, k.attribute} {
		for _, a := range keys {
			if number() == 0 {
				continue
			}
			if value := text(); a.name != "" {
				metadata[a.name] = []string{value}
			}
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
