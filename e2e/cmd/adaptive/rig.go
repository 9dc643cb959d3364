// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/backendtest"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// server is a backend on the loopback interface.
type server struct {
	http.Server
	url    string
	client *http.Client
	served chan error
}

func serve(b *backendtest.Backend) (*server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://" + listener.Addr().String(), served: make(chan error, 1)}
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: most}}
	s.ReadHeaderTimeout = time.Minute
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.Call(r.Context()) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	go func() { s.served <- s.Serve(listener) }()
	return s, nil
}

func (s *server) close() {
	s.client.CloseIdleConnections()
	_ = s.Close()
	if err := <-s.served; !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "adaptive:", err)
	}
}

// send is the next consumer: one call of the backend.
func (s *server) send(ctx context.Context, _ plog.Logs) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := s.client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	if answer.StatusCode == http.StatusServiceUnavailable {
		err = status.Error(codes.Unavailable, "refused")
	}
	return errors.Join(err, answer.Body.Close())
}

// pipeline is a processor with a sender that never stops.
type pipeline struct {
	processor.Logs
	taken    atomic.Int64 // calls
	stopping atomic.Bool
	senders  sync.WaitGroup
}

func start(s *server, adaptive bool) (*pipeline, error) {
	factory := partitionedbufferprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig().(*partitionedbufferprocessor.Config)
	cfg.NumConsumers, cfg.Timeout, cfg.QueueSize = most, 0, 2*most
	cfg.AdaptiveConcurrency.Enabled = adaptive
	p := &pipeline{}
	next, err := consumer.NewLogs(func(ctx context.Context, ld plog.Logs) error {
		err := s.send(ctx, ld)
		if err == nil {
			p.taken.Add(1)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	set := processor.Settings{ID: component.NewID(factory.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	if p.Logs, err = factory.CreateLogs(context.Background(), set, cfg, next); err != nil {
		return nil, err
	}
	if err := p.Start(context.Background(), componenttest.NewNopHost()); err != nil {
		return nil, err
	}
	p.senders.Go(func() {
		for !p.stopping.Load() {
			logs := plog.NewLogs()
			logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
			if p.ConsumeLogs(context.Background(), logs) != nil {
				return
			}
		}
	})
	return p, nil
}

// limit is how many calls may run at once.
func (p *pipeline) limit() int64 {
	return p.Logs.(interface{ Stats() partitioned.Stats }).Stats().Limit
}

func (p *pipeline) stop() error {
	p.stopping.Store(true)
	p.senders.Wait()
	return p.Shutdown(context.Background())
}
