// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

func TestInParallelCallsEachOnce(t *testing.T) {
	for n := range 5 * decodesEach {
		calls := make([]int, n)
		inParallel(n, func(i int) { calls[i]++ })
		for i, c := range calls {
			require.Equal(t, 1, c, "%d of %d", i, n)
		}
	}
}

// panickingLogs cannot decode.
type panickingLogs struct{ signal.Logs }

func (panickingLogs) Unmarshal([]byte) (plog.Logs, error) { panic("a damaged value") }

// TestPanicInDecodeIsDamage: it happens on a goroutine that nobody else guards.
func TestPanicInDecodeIsDamage(t *testing.T) {
	s := &storage[plog.Logs]{payloads: &payloads[plog.Logs]{signal: panickingLogs{}}}
	head := storedHead{items: 1}
	_, err := s.decode(head.appendTo(nil), nil)
	require.ErrorContains(t, err, "a damaged value")
}
