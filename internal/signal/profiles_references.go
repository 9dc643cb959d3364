// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"encoding/binary"
	"fmt"
	"math"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// A value in the attribute table of a dictionary, and every key and value within it, may be a reference to the string table
// (string_value_strindex and key_strindex of the protocol). pdata keeps such references, but has no way to read or to write
// one: the value looks empty, the key is "". Only its encoding shows them. So what looks like that is encoded, the references
// in its bytes are changed, and it is decoded again. What has none, as from most senders, is never encoded.

// references changes and compares values that may have references. Its zero value is ready.
type references struct {
	payload pprofile.Profiles // holds one attribute, whose value is what is being encoded
	made    bool
	marshal pprofile.ProtoMarshaler
}

// mayRefer reports whether there may be a reference in v: something empty.
func mayRefer(v pcommon.Value) bool {
	switch v.Type() {
	case pcommon.ValueTypeEmpty:
		return true
	case pcommon.ValueTypeMap:
		for k, v := range v.Map().All() {
			if k == "" || mayRefer(v) {
				return true
			}
		}
	case pcommon.ValueTypeSlice:
		for _, v := range v.Slice().All() {
			if mayRefer(v) {
				return true
			}
		}
	}
	return false
}

// translate changes the references in v.
func (r *references) translate(v pcommon.Value, index func(int32) int32) {
	if !mayRefer(v) {
		return
	}
	changed := false
	encoded := translateWire(nil, r.encode(v), wirePayload, func(i int32) int32 {
		to := index(i)
		changed = changed || to != i
		return to
	})
	if !changed {
		return
	}
	var u pprofile.ProtoUnmarshaler
	p, err := u.UnmarshalProfiles(encoded)
	if err != nil {
		panic(fmt.Sprintf("signal: broken invariant: pdata does not decode what it encoded: %v", err))
	}
	p.Dictionary().AttributeTable().At(0).Value().MoveTo(v)
}

// check calls see with each reference in v.
func (r *references) check(v pcommon.Value, see func(i int32)) {
	if mayRefer(v) {
		translateWire(nil, r.encode(v), wirePayload, func(i int32) int32 {
			see(i)
			return i
		})
	}
}

// appendValue appends an injective encoding of v.
func (r *references) appendValue(b []byte, v pcommon.Value) []byte {
	b = append(b, byte(v.Type()))
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return append(b, v.Str()...)
	case pcommon.ValueTypeInt:
		return binary.AppendVarint(b, v.Int())
	case pcommon.ValueTypeDouble:
		return binary.BigEndian.AppendUint64(b, math.Float64bits(v.Double()))
	case pcommon.ValueTypeBool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case pcommon.ValueTypeBytes:
		return append(b, v.Bytes().AsRaw()...)
	default:
		return append(b, r.encode(v)...)
	}
}

// encode returns the encoding of a payload with nothing but v, as the value of an attribute.
func (r *references) encode(v pcommon.Value) []byte {
	if !r.made {
		r.payload, r.made = pprofile.NewProfiles(), true
		r.payload.Dictionary().AttributeTable().AppendEmpty()
	}
	v.CopyTo(r.payload.Dictionary().AttributeTable().At(0).Value())
	b, err := r.marshal.MarshalProfiles(r.payload) // it turns keys and texts of resources and scopes into references: there are none
	if err != nil {
		panic(fmt.Sprintf("signal: broken invariant: pdata does not encode a value: %v", err))
	}
	return b
}

// wire is a message of the protocol, or what a field of one holds.
type wire int

const (
	wireOther wire = iota
	wirePayload
	wireDictionary
	wireAttribute
	wireValue
	wireList
	wireMap
	wireKeyValue
	wireReference
)

// wireFields says what is in which field of a message, by its number in the protocol: all on the way to a reference.
var wireFields = map[wire]map[uint64]wire{
	wirePayload:    {2: wireDictionary},
	wireDictionary: {6: wireAttribute},
	wireAttribute:  {2: wireValue},
	wireValue:      {5: wireList, 6: wireMap, 8: wireReference},
	wireList:       {1: wireValue},
	wireMap:        {1: wireKeyValue},
	wireKeyValue:   {2: wireValue, 3: wireReference},
}

// translateWire appends the encoded message w to dst, with its references changed. It recurses as deep as values are
// nested, which Check bounds.
func translateWire(dst, src []byte, w wire, index func(int32) int32) []byte {
	for len(src) > 0 {
		tag, n := binary.Uvarint(src)
		dst = append(dst, src[:n]...)
		src = src[n:]
		field := wireFields[w][tag>>3]
		switch tag & 7 {
		case 0: // a number
			v, n := binary.Uvarint(src)
			src = src[n:]
			if field == wireReference {
				v = uint64(index(int32(v))) //nolint:gosec // the protocol's int32
			}
			dst = binary.AppendUvarint(dst, v)
		case 2: // a message, or bytes
			size, n := binary.Uvarint(src)
			content := src[n : n+int(size)]
			src = src[n+int(size):]
			if field != wireOther {
				content = translateWire(nil, content, field, index)
			}
			dst = binary.AppendUvarint(dst, uint64(len(content)))
			dst = append(dst, content...)
		case 1: // 8 bytes
			dst, src = append(dst, src[:8]...), src[8:]
		default: // 4 bytes
			dst, src = append(dst, src[:4]...), src[4:]
		}
	}
	return dst
}
