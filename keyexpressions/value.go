// SPDX-License-Identifier: Apache-2.0

package keyexpressions

import (
	"encoding/hex"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// keyValue returns what an expression resulted in as a key has it: nil, a string, an int64 or a [pcommon.Value]. IDs are hexadecimal, empty
// ones the empty text, as OTTL has them; times are RFC 3339 in UTC, durations as Go writes them.
func keyValue(v any) (any, error) {
	switch v := v.(type) {
	case nil, string, int64, pcommon.Value:
		return v, nil
	case pcommon.Map:
		one := pcommon.NewValueMap()
		v.CopyTo(one.Map())
		return one, nil
	case pcommon.Slice:
		one := pcommon.NewValueSlice()
		v.CopyTo(one.Slice())
		return one, nil
	case []string:
		return listOf(v)
	case []int64:
		return listOf(v)
	case []float64:
		return listOf(v)
	case []bool:
		return listOf(v)
	case pcommon.TraceID:
		return hexOf(v[:], v.IsEmpty()), nil
	case pcommon.SpanID:
		return hexOf(v[:], v.IsEmpty()), nil
	case pprofile.ProfileID:
		return hexOf(v[:], v.IsEmpty()), nil
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), nil
	case time.Duration:
		return v.String(), nil
	default:
		one := pcommon.NewValueEmpty()
		if err := one.FromRaw(v); err != nil {
			return nil, fmt.Errorf("its value is a %T, which has no place in a key: %w", v, err)
		}
		return one, nil
	}
}

func listOf[E any](list []E) (any, error) {
	one := pcommon.NewValueSlice()
	for _, e := range list {
		if err := one.Slice().AppendEmpty().FromRaw(e); err != nil {
			return nil, err
		}
	}
	return one, nil
}

func hexOf(id []byte, empty bool) string {
	if empty {
		return ""
	}
	return hex.EncodeToString(id)
}
