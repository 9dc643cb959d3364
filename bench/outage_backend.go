// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
)

// OutageBackend is how the backend of an OutageLoad takes its data.
type OutageBackend string

const (
	// BackendEncodes is the least that an exporter does: without a storage in the way, what is in memory would arrive by moving pointers.
	BackendEncodes OutageBackend = "encodes"
	// BackendOTLP is OTLP by gRPC over loopback, to a server that decodes nothing, as if it were another machine's work.
	BackendOTLP OutageBackend = "OTLP"
	// BackendGzip is BackendOTLP with gzip, which is the default of the otlp exporter.
	BackendGzip OutageBackend = "OTLP, gzip"
)

var errOutage = errors.New("the backend is down")

// recovering is a backend that is down until up.
type recovering struct {
	send       func(context.Context, ptrace.Traces) error
	up         atomic.Bool
	got        atomic.Int64
	want       int64
	first, all chan struct{}
}

func (b *recovering) consume(ctx context.Context, p ptrace.Traces) error {
	if !b.up.Load() {
		return errOutage
	}
	if err := b.send(ctx, p); err != nil {
		return err
	}
	n := int64(p.SpanCount())
	got := b.got.Add(n)
	if got == n {
		close(b.first)
	}
	if got == b.want {
		close(b.all)
	}
	return nil
}

// open returns how a batch is sent to the backend, and what ends it.
func (b OutageBackend) open() (send func(context.Context, ptrace.Traces) error, end func() error, err error) {
	if b == BackendEncodes {
		return func(_ context.Context, p ptrace.Traces) error {
			_, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(p)
			return err
		}, func() error { return nil }, nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(undecoded{}), grpc.UnknownServiceHandler(acknowledge), grpc.MaxRecvMsgSize(1<<30))
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	var options []grpc.CallOption
	if b == BackendGzip {
		options = append(options, grpc.UseCompressor(gzip.Name))
	}
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	end = func() error {
		if conn != nil {
			err = conn.Close()
		}
		server.Stop()
		return errors.Join(err, <-served)
	}
	if err != nil {
		return nil, nil, end()
	}
	client := ptraceotlp.NewGRPCClient(conn)
	return func(ctx context.Context, p ptrace.Traces) error {
		_, err := client.Export(ctx, ptraceotlp.NewExportRequestFromTraces(p), options...)
		return err
	}, end, nil
}

// acknowledge answers any call with an empty response, once its request is there.
func acknowledge(_ any, stream grpc.ServerStream) error {
	var request struct{}
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	return stream.SendMsg(&request)
}

// undecoded is the codec of a server that looks at no request.
type undecoded struct{}

func (undecoded) Marshal(any) (mem.BufferSlice, error) { return nil, nil }
func (undecoded) Unmarshal(mem.BufferSlice, any) error { return nil }
func (undecoded) Name() string                         { return "undecoded" }
