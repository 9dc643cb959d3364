// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/journal"
)

// storedHead is what stands in front of a payload in the storage: enough to give it its place in the queue without decoding it.
// Everything else of the client, as its address and its authentication, is not stored.
type storedHead struct {
	items, size int
	metadata    map[string][]string // the client's, of metadata_keys as it was then
	span        trace.SpanContext   // that the caller was under, if that was sampled
}

var errStoredHead = errors.New("it is not what was stored")

// appendTo appends h behind the bytes that are the journal's: items, size, the metadata with the number of its names and for each its
// values, and the span. Numbers are varints, texts have their length before them.
func (h *storedHead) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(h.items))
	b = binary.AppendUvarint(b, uint64(h.size))
	b = binary.AppendUvarint(b, uint64(len(h.metadata)))
	for name, values := range h.metadata {
		b = appendText(b, name)
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			b = appendText(b, v)
		}
	}
	if !h.span.IsSampled() {
		return append(b, 0)
	}
	id, span := h.span.TraceID(), h.span.SpanID()
	return append(append(append(b, 1), id[:]...), span[:]...)
}

// readStoredHead returns the head of a stored value, and the payload behind it.
func readStoredHead(b []byte) (h storedHead, payload []byte, err error) {
	r := storedReader{b: b}
	h.items, h.size = r.int(), r.int()
	if n := r.int(); n > 0 && !r.bad {
		h.metadata = map[string][]string{}
		for range n {
			name, values := r.text(), []string(nil)
			for range r.int() {
				values = append(values, r.text())
				if r.bad {
					break
				}
			}
			if h.metadata[name] = values; r.bad {
				break
			}
		}
	}
	if r.byte() == 1 {
		var c trace.SpanContextConfig
		copy(c.TraceID[:], r.bytes(len(c.TraceID)))
		copy(c.SpanID[:], r.bytes(len(c.SpanID)))
		c.TraceFlags, c.Remote = trace.FlagsSampled, true
		h.span = trace.NewSpanContext(c)
	}
	if r.bad || h.items < 1 {
		return h, nil, errStoredHead
	}
	return h, r.b, nil
}

// storedReader takes b apart. What is not there is 0 or empty, and makes it bad.
type storedReader struct {
	b   []byte
	bad bool
}

func (r *storedReader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad, r.b, n = true, nil, 0
	}
	head := r.b[:n]
	r.b = r.b[n:]
	return head
}

func (r *storedReader) byte() byte {
	if head := r.bytes(1); len(head) == 1 {
		return head[0]
	}
	return 0
}

func (r *storedReader) int() int {
	n, size := binary.Uvarint(r.b)
	if size <= 0 || n > 1<<48 {
		r.bad, r.b = true, nil
		return 0
	}
	r.bytes(size)
	return int(n)
}

func (r *storedReader) text() string { return string(r.bytes(r.int())) }

// encode makes the entries of the parts of a call, which was accepted at since. It only reads the payload: several parts are made of a copy.
func (s *storage[P]) encode(c *call[P], heads []storedHead, since time.Time) error {
	if c.division == nil {
		return s.encodePart(&c.parts[0], &heads[0], c.payload, since)
	}
	all := s.payloads.copy(c.payload)
	parts := s.payloads.divideNow(all, c.division.cuts)
	s.payloads.release(all)
	var failed error
	for i := range parts {
		if heads[i].items > 0 && failed == nil {
			failed = s.encodePart(&c.parts[i], &heads[i], parts[i], since)
		}
		s.payloads.release(parts[i])
	}
	return failed
}

func (s *storage[P]) encodePart(k *kept[P], h *storedHead, payload P, since time.Time) error {
	b := h.appendTo(make([]byte, journal.Overhead, 256))
	b, err := s.payloads.signal.Marshal(b, payload)
	if err != nil {
		return err
	}
	k.value = b
	k.entry = journal.NewEntry(b, since)
	return nil
}

// metadataOf returns the client metadata of metadata_keys.
func (k *keyer) metadataOf(get func(string) []string) map[string][]string {
	if len(k.metadata) == 0 {
		return nil
	}
	all := make(map[string][]string, len(k.metadata))
	for _, name := range k.metadata {
		if values := get(name); values != nil {
			all[name] = slices.Clone(values)
		}
	}
	return all
}
