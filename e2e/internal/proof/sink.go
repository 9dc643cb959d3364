// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"context"
	"math"
	"math/bits"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // the exporter compresses
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// sink is a backend: an OTLP gRPC server that counts calls and bytes, and notes which items arrived and after what time. Safe for
// concurrent use.
type sink struct {
	addr  string
	delay time.Duration // of each call
	fault atomic.Int32  // a fault, while it lasts

	released chan struct{} // closed when calls are held no more

	server                *grpc.Server
	calls, wire, unpacked atomic.Int64 // bytes as sent, and before compression

	mu struct { // guards everything in it
		sync.Mutex
		seen     []uint64 // a bit for each ID
		distinct int
		copies   int // further ones
		delays   delays
	}
}

// newSink starts a sink. It must be stopped.
func newSink(delay time.Duration) (*sink, error) {
	s := &sink{addr: "127.0.0.1:0", delay: delay, released: make(chan struct{})}
	err := s.start()
	return s, err
}

// start listens again at the address of before.
func (s *sink) start() error {
	l, err := net.Listen("tcp", s.addr)
	if err != nil {
		return err
	}
	s.addr = l.Addr().String()
	s.server = grpc.NewServer(grpc.StatsHandler(s), grpc.MaxRecvMsgSize(256<<20))
	ptraceotlp.RegisterGRPCServer(s.server, &tracesSink{s: s})
	pmetricotlp.RegisterGRPCServer(s.server, &metricsSink{s: s})
	plogotlp.RegisterGRPCServer(s.server, &logsSink{s: s})
	go func(server *grpc.Server) { _ = server.Serve(l) }(s.server) // ends with stop
	return nil
}

// stop ends it at once. Calls that it has are not answered.
func (s *sink) stop() { s.server.Stop() }

// hold holds all calls from now on until release, which may be called once in the life of s.
func (s *sink) hold() (release func()) {
	s.fault.Store(holds)
	return func() {
		s.fault.Store(well)
		close(s.released)
	}
}

// arrived returns how many different items there are, and how many further copies of them.
func (s *sink) arrived() (distinct, copies int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.distinct, s.mu.copies
}

// takeDelays returns the delays since the last call.
func (s *sink) takeDelays() delays {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.mu.delays
	s.mu.delays = nil
	return d
}

// HandleRPC counts what arrives on the wire.
func (s *sink) HandleRPC(_ context.Context, r stats.RPCStats) {
	if in, ok := r.(*stats.InPayload); ok {
		s.calls.Add(1)
		s.wire.Add(int64(in.CompressedLength))
		s.unpacked.Add(int64(in.Length))
	}
}

// TagRPC is part of [stats.Handler].
func (s *sink) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn is part of [stats.Handler].
func (s *sink) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn is part of [stats.Handler].
func (s *sink) HandleConn(context.Context, stats.ConnStats) {}

// What may be wrong with a sink that answers.
const (
	well    int32 = iota
	refuses       // every call fails at once, retryably
	hangs         // no call is answered
	holds         // calls are answered once they are released
)

// A batch is the items of one call: when each was sent, and its ID.
type batch [][2]pcommon.Timestamp

// take notes a batch, and takes as long as a backend does.
func (s *sink) take(ctx context.Context, b batch) error {
	switch s.fault.Load() {
	case refuses:
		return status.Error(codes.Unavailable, "not now")
	case hangs:
		<-ctx.Done()
		return ctx.Err()
	case holds:
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.released:
		}
	}
	time.Sleep(s.delay)
	s.note(b)
	return nil
}

// note marks the items of a batch as arrived.
func (s *sink) note(b batch) {
	now := pcommon.NewTimestampFromTime(time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, item := range b {
		sent, id := item[0], uint64(item[1])-1
		for id/64 >= uint64(len(s.mu.seen)) {
			s.mu.seen = append(s.mu.seen, 0)
		}
		if word := &s.mu.seen[id/64]; *word&(1<<(id%64)) == 0 {
			*word |= 1 << (id % 64)
			s.mu.distinct++
		} else {
			s.mu.copies++
		}
		s.mu.delays.add(time.Duration(now - sent))
	}
}

// missing returns how many of the ranges of IDs did not arrive.
func (s *sink) missing(acked []idRange) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range acked {
		for id := r.first; id < r.first+uint64(r.n); id++ {
			if id/64 >= uint64(len(s.mu.seen)) || s.mu.seen[id/64]&(1<<(id%64)) == 0 {
				n++
			}
		}
	}
	return n
}

type tracesSink struct {
	ptraceotlp.UnimplementedGRPCServer
	s *sink
}

func (t *tracesSink) Export(ctx context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	var b batch
	for _, rs := range r.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				b = append(b, [2]pcommon.Timestamp{s.StartTimestamp(), s.EndTimestamp()})
			}
		}
	}
	return ptraceotlp.NewExportResponse(), t.s.take(ctx, b)
}

type metricsSink struct {
	pmetricotlp.UnimplementedGRPCServer
	s *sink
}

func (t *metricsSink) Export(ctx context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	var b batch
	for _, rm := range r.Metrics().ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				if m.Type() != pmetric.MetricTypeGauge {
					continue
				}
				for _, p := range m.Gauge().DataPoints().All() {
					b = append(b, [2]pcommon.Timestamp{p.StartTimestamp(), p.Timestamp()})
				}
			}
		}
	}
	return pmetricotlp.NewExportResponse(), t.s.take(ctx, b)
}

type logsSink struct {
	plogotlp.UnimplementedGRPCServer
	s *sink
}

func (t *logsSink) Export(ctx context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	var b batch
	for _, rl := range r.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, l := range sl.LogRecords().All() {
				b = append(b, [2]pcommon.Timestamp{l.Timestamp(), l.ObservedTimestamp()})
			}
		}
	}
	return plogotlp.NewExportResponse(), t.s.take(ctx, b)
}

// delays counts durations by their size: eight buckets for each power of two of nanoseconds, so that a quantile is within 10 %.
type delays []int

func (d *delays) add(t time.Duration) {
	at := bucketOf(uint64(max(t, 8)))
	if at >= len(*d) {
		*d = append(*d, make([]int, at+1-len(*d))...)
	}
	(*d)[at]++
}

// bucketOf returns the bucket of n, which is at least 8: its highest bit, and the three below.
func bucketOf(n uint64) int {
	high := bits.Len64(n) - 1
	return high*8 + int(n>>(high-3))&7
}

// quantile returns the upper bound of the bucket in which the fraction q of all is reached.
func (d delays) quantile(q float64) time.Duration {
	total := 0
	for _, n := range d {
		total += n
	}
	if total == 0 {
		return 0
	}
	rest := int(math.Ceil(q * float64(total)))
	at := slices.IndexFunc(d, func(n int) bool { rest -= n; return rest <= 0 })
	return time.Duration(uint64(8+at%8+1) << (at/8 - 3))
}
