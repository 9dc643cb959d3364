// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"hash/maphash"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"pgregory.net/rapid"
)

func TestHashOfAttributesHangsOnNothingElse(t *testing.T) {
	seed := maphash.MakeSeed()
	value := func(t *rapid.T, what string) any {
		return rapid.SampledFrom([]any{nil, "", "1", int64(1), 1.0, true, false, []byte{1}, []any{"1", int64(1)}, []any{int64(1), "1"}, map[string]any{"1": "1"}}).Draw(t, what)
	}
	different := 0
	rapid.Check(t, func(t *rapid.T) {
		var maps [2]pcommon.Map
		for i := range maps {
			maps[i] = pcommon.NewMap()
			for _, name := range rapid.Permutation([]string{"a", "b", "c"}).Draw(t, "order") {
				require.NoError(t, maps[i].PutEmpty(name).FromRaw(value(t, name)))
			}
		}
		same := HashAttributes(seed, maps[0]) == HashAttributes(seed, maps[1])
		if maps[0].Equal(maps[1]) {
			require.True(t, same)
		} else if !same {
			different++
		}
		other := pcommon.NewMap()
		for _, name := range []string{"c", "a", "b"} {
			v, _ := maps[0].Get(name)
			v.CopyTo(other.PutEmpty(name))
		}
		require.Equal(t, HashAttributes(seed, maps[0]), HashAttributes(seed, other))
	})
	require.Positive(t, different, "a constant is no hash")
}
