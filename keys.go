// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/client"
)

// keyer makes the key of a request of its client metadata, and the metadata of the key again.
//
// A key is, for each name in turn, the number of values and then each value with its length before it, all numbers as
// unsigned varints. So it is injective: no two combinations share a key, whatever their values contain, and a name without
// a value (0) differs from one with an empty value (1, 0).
type keyer []string // names, in lower case

func newKeyer(names []string) keyer {
	k := make(keyer, len(names))
	for i, name := range names {
		k[i] = strings.ToLower(name)
	}
	slices.Sort(k)
	return k
}

func (k keyer) key(ctx context.Context) string {
	if len(k) == 0 {
		return ""
	}
	metadata := client.FromContext(ctx).Metadata
	var stack [128]byte // most keys fit: then the string is the only allocation beside what Get copies
	b := stack[:0]
	for _, name := range k {
		values := metadata.Get(name)
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			b = binary.AppendUvarint(b, uint64(len(v)))
			b = append(b, v...)
		}
	}
	return string(b)
}

// context returns ctx with what key was made of as the client's metadata, and nothing else of any client.
func (k keyer) context(ctx context.Context, key string) context.Context {
	if len(k) == 0 {
		return ctx
	}
	number := func() int {
		// A key is ours, so it is well formed; and as it came from a []byte of these lengths, they fit an int.
		n, size := binary.Uvarint([]byte(key[:min(len(key), binary.MaxVarintLen64)]))
		key = key[size:]
		return int(n)
	}
	metadata := make(map[string][]string, len(k))
	for _, name := range k {
		for range number() {
			length := number()
			metadata[name] = append(metadata[name], key[:length])
			key = key[length:]
		}
	}
	return client.NewContext(ctx, client.Info{Metadata: client.NewMetadata(metadata)})
}
