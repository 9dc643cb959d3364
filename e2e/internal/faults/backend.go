// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // the otlp exporter compresses
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/otlpio"
)

// backend receives traces by gRPC or HTTP, has a fault, and keeps what it took.
type backend struct {
	addr  string // of loopback; the same after a restart
	fault Fault
	begin time.Time

	mu struct { // guards everything in it
		sync.Mutex
		stop     func()
		batches  []otlpio.Payload
		rejected int
	}
}

func newBackend(f Fault) (*backend, error) {
	b := &backend{addr: "127.0.0.1:0", fault: f, begin: time.Now()}
	err := b.start()
	return b, err
}

// start listens, on the address that it had before.
func (b *backend) start() error {
	l, err := net.Listen("tcp", b.addr)
	for range 50 {
		if err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond) // the one before has not let go yet
		l, err = net.Listen("tcp", b.addr)
	}
	if err != nil {
		return err
	}
	b.addr = l.Addr().String()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault == TooLargeHTTP {
		s := &http.Server{Handler: http.HandlerFunc(b.serveHTTP), ReadHeaderTimeout: time.Minute}
		b.mu.stop = func() { _ = s.Close() }
		go func() { _ = s.Serve(l) }()
		return nil
	}
	s := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(s, &service{b: b})
	b.mu.stop = s.Stop
	go func() { _ = s.Serve(l) }()
	return nil
}

// kill ends it in the middle of its calls.
func (b *backend) kill() {
	b.mu.Lock()
	stop := b.mu.stop
	b.mu.Unlock()
	stop()
}

func (b *backend) took() (batches []otlpio.Payload, rejected int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]otlpio.Payload(nil), b.mu.batches...), b.mu.rejected
}

type service struct {
	ptraceotlp.UnimplementedGRPCServer
	b *backend
}

// Export answers as the fault wants it.
func (s *service) Export(ctx context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	resp := ptraceotlp.NewExportResponse()
	rejected, err := s.b.receive(ctx, r)
	if err != nil {
		return resp, err
	}
	if rejected > 0 {
		resp.PartialSuccess().SetRejectedSpans(int64(rejected))
		resp.PartialSuccess().SetErrorMessage("not these")
	}
	return resp, nil
}

var errTooLarge = status.Error(codes.ResourceExhausted, "grpc: received message larger than max")

func (b *backend) receive(ctx context.Context, r ptraceotlp.ExportRequest) (rejected int, err error) {
	n := r.Traces().SpanCount()
	switch b.fault {
	case Slow:
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	case Refuses:
		if away := time.Since(b.begin); away > lasts/3 && away < 2*lasts/3 {
			return 0, status.Error(codes.Unavailable, "not now")
		}
	case TooLarge, TooLargeHTTP:
		if n > mostItems {
			return 0, errTooLarge
		}
	case PartialSuccess:
		// Of each request one item is not wanted: OTLP says that it must not be sent again.
		rejected = 1
		removeFirst(r)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.batches = append(b.mu.batches, otlpio.Payload{Signal: otlpio.Traces, Traces: r.Traces()})
	b.mu.rejected += rejected
	return rejected, nil
}

func (b *backend) serveHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	r := ptraceotlp.NewExportRequest()
	if err == nil {
		err = r.UnmarshalProto(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if _, err := b.receive(req.Context(), r); errors.Is(err, errTooLarge) {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	out, _ := ptraceotlp.NewExportResponse().MarshalProto()
	_, _ = w.Write(out)
}
