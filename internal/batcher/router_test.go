// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// Resources of a request that take turns with their keys share the text of each, which has the client metadata too (I10).
func TestStreamsOfARequestExistOnce(t *testing.T) {
	const keys, resources = 3, 100
	p := newPayloads(Settings{}, signal.OfLogs().Signal, false, zap.NewNop())
	o := newRouter(testSettings(), newKeyer([]string{"user"}, []string{"tenant"}, nil, nil, nil), nil, p, nil)
	ld := plog.NewLogs()
	for i := range resources {
		ld.ResourceLogs().AppendEmpty().Resource().Attributes().PutStr("tenant", fmt.Sprint(i%keys))
	}
	ctx := client.NewContext(context.Background(), client.Info{Metadata: client.NewMetadata(map[string][]string{"user": {strings.Repeat("x", 10_000)}})})
	var s streams
	for range 2 { // it may be used again
		_, err := o.begin(ctx, &s, request[plog.Logs]{payload: ld, items: 0})
		require.NoError(t, err)
		texts := map[*byte]string{}
		for i := range resources {
			stream := o.stream(ctx, &s, ld, i)
			texts[unsafe.StringData(stream)] = stream
		}
		require.NoError(t, s.err)
		require.Equal(t, keys, len(texts)) //nolint:testifylint // Len would print the texts
	}
}

// TestAKeyIsMadeOnTheStack, whatever else route may do with one: it is the text of the key that is allocated, and what the client's
// metadata returns a value in.
func TestAKeyIsMadeOnTheStack(t *testing.T) {
	p := newPayloads(Settings{}, signal.OfLogs().Signal, false, zap.NewNop())
	o := newRouter(testSettings(), newKeyer([]string{"user"}, []string{"tenant"}, nil, nil, nil), nil, p, nil)
	ld := plog.NewLogs()
	for range 3 {
		ld.ResourceLogs().AppendEmpty().Resource().Attributes().PutStr("tenant", "a")
	}
	ctx := client.NewContext(context.Background(), client.Info{Metadata: client.NewMetadata(map[string][]string{"user": {"u"}})})
	allocs := testing.AllocsPerRun(100, func() {
		_, parts, err := o.route(ctx, request[plog.Logs]{payload: ld})
		if err != nil || parts != nil {
			t.Fatal(parts, err)
		}
	})
	require.LessOrEqual(t, allocs, 2.0)
}
