// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"encoding/binary"
	"hash/maphash"
	"math"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// HashAttributes gives attributes that are equal, in any order, the same hash. Others may share it.
func HashAttributes(seed maphash.Seed, attributes pcommon.Map) (sum uint64) {
	var h maphash.Hash
	for name, value := range attributes.All() {
		h.SetSeed(seed)
		h.WriteString(name)
		hashValue(&h, value)
		sum += h.Sum64() // whatever the order
	}
	return sum
}

// encoders write the maps and lists that are hashed.
var encoders = sync.Pool{New: func() any { return &Encoder{} }}

func hashValue(h *maphash.Hash, v pcommon.Value) {
	h.WriteByte(byte(v.Type()))
	switch v.Type() {
	case pcommon.ValueTypeStr:
		h.WriteString(v.Str())
	case pcommon.ValueTypeInt:
		hashNumber(h, uint64(v.Int()))
	case pcommon.ValueTypeDouble:
		hashNumber(h, math.Float64bits(v.Double()))
	case pcommon.ValueTypeBool:
		if v.Bool() {
			h.WriteByte(1)
		}
	case pcommon.ValueTypeBytes:
		h.Write(v.Bytes().AsRaw())
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice:
		e := encoders.Get().(*Encoder)
		e.reset()
		e.value(v)
		h.Write(e.buf)
		e.reset()
		encoders.Put(e)
	}
}

func hashNumber(h *maphash.Hash, n uint64) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	h.Write(b[:])
}
