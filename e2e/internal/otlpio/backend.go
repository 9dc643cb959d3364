// SPDX-License-Identifier: Apache-2.0

package otlpio

import (
	"context"
	"net"
	"sync"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // the otlp exporter compresses
	"google.golang.org/grpc/metadata"
)

// An Answer is what a backend does with a request: it takes it, or returns an error. ctx is that of the call.
type Answer func(ctx context.Context, p Payload) error

// Backend is an OTLP gRPC receiver that keeps what it takes. Safe for concurrent use.
type Backend struct {
	// Addr is where it listens, on loopback.
	Addr string

	server *grpc.Server
	mu     struct { // guards everything in it
		sync.Mutex
		answer  Answer // nil takes everything
		batches []Payload
		headers []metadata.MD
	}
}

// NewBackend starts a backend. It must be closed. As long as hold is open, no call is answered; nil answers each at once.
func NewBackend(hold chan struct{}) (*Backend, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &Backend{Addr: l.Addr().String(), server: grpc.NewServer()}
	if hold != nil {
		b.SetAnswer(Hold(hold))
	}
	ptraceotlp.RegisterGRPCServer(b.server, &tracesBackend{b: b})
	pmetricotlp.RegisterGRPCServer(b.server, &metricsBackend{b: b})
	plogotlp.RegisterGRPCServer(b.server, &logsBackend{b: b})
	pprofileotlp.RegisterGRPCServer(b.server, &profilesBackend{b: b})
	go func() { _ = b.server.Serve(l) }() // ends with Close
	return b, nil
}

// Close ends it; what it received stays.
func (b *Backend) Close() {
	b.server.Stop()
}

// Hold answers no call while until is open.
func Hold(until <-chan struct{}) Answer {
	return func(ctx context.Context, _ Payload) error {
		select {
		case <-until:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// SetAnswer has calls that come from now on answered so; nil takes everything.
func (b *Backend) SetAnswer(a Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.answer = a
}

// Batches gives what was received so far.
func (b *Backend) Batches() []Payload {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Payload(nil), b.mu.batches...)
}

// Headers gives the headers of what Batches gives.
func (b *Backend) Headers() []metadata.MD {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]metadata.MD(nil), b.mu.headers...)
}

// receive keeps the payload, if that is the answer.
func (b *Backend) receive(ctx context.Context, p Payload) error {
	b.mu.Lock()
	answer := b.mu.answer
	b.mu.Unlock()
	if answer != nil {
		if err := answer(ctx, p); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	headers, _ := metadata.FromIncomingContext(ctx)
	b.mu.batches, b.mu.headers = append(b.mu.batches, p), append(b.mu.headers, headers)
	return nil
}

type tracesBackend struct {
	ptraceotlp.UnimplementedGRPCServer
	b *Backend
}

func (s *tracesBackend) Export(ctx context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	return ptraceotlp.NewExportResponse(), s.b.receive(ctx, Payload{Signal: Traces, Traces: r.Traces()})
}

type metricsBackend struct {
	pmetricotlp.UnimplementedGRPCServer
	b *Backend
}

func (s *metricsBackend) Export(ctx context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	return pmetricotlp.NewExportResponse(), s.b.receive(ctx, Payload{Signal: Metrics, Metrics: r.Metrics()})
}

type logsBackend struct {
	plogotlp.UnimplementedGRPCServer
	b *Backend
}

func (s *logsBackend) Export(ctx context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	return plogotlp.NewExportResponse(), s.b.receive(ctx, Payload{Signal: Logs, Logs: r.Logs()})
}

type profilesBackend struct {
	pprofileotlp.UnimplementedGRPCServer
	b *Backend
}

func (s *profilesBackend) Export(ctx context.Context, r pprofileotlp.ExportRequest) (pprofileotlp.ExportResponse, error) {
	return pprofileotlp.NewExportResponse(), s.b.receive(ctx, Payload{Signal: Profiles, Profiles: r.Profiles()})
}
