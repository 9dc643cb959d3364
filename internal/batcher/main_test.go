// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"errors"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/goleak"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errNext = errors.New("the next consumer failed")

// testSettings are those of a batcher without limits that flushes once a second.
func testSettings() Settings {
	return Settings{
		Partitions: 1, Timeout: time.Second, BatchSize: partitioned.Weight{Items: 8192}, Consumers: 1, Capacity: 65536,
		ShutdownTimeout: time.Minute,
	}
}

// logsOf makes a payload with n records below each of these services.
func logsOf(n int, services ...string) plog.Logs {
	ld := plog.NewLogs()
	for _, service := range services {
		r := ld.ResourceLogs().AppendEmpty()
		r.Resource().Attributes().PutStr("service.name", service)
		records := r.ScopeLogs().AppendEmpty().LogRecords()
		for i := range n {
			records.AppendEmpty().Attributes().PutInt("item", int64(i))
		}
	}
	return ld
}
