// SPDX-License-Identifier: Apache-2.0

// Command adaptive runs adaptive_concurrency in real time against a backend on the loopback interface whose room for calls changes, prints
// what was delivered and refused as a Markdown table, and draws the limit over time. Run it from the e2e folder of a checkout:
//
//	go run ./cmd/adaptive -picture ../docs/adaptive-concurrency.svg
//
// It takes two minutes.
package main

import (
	"context"
	"errors"
	"flag"
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
	"gonum.org/v1/plot/plotter"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor"
	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/proof"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/backendtest"
	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

const (
	most    = 64 // calls at once
	phase   = 20 * time.Second
	settled = 15 * time.Second // of it; what comes then is measured
	sampled = 500 * time.Millisecond
)

func main() {
	picture := flag.String("picture", "", "file for the picture")
	flag.Parse()
	if err := run(*picture); err != nil {
		fmt.Fprintln(os.Stderr, "adaptive:", err)
		os.Exit(1)
	}
}

func run(picture string) error {
	rooms := []int{4, 32, 8, 1, 16}
	adaptive, err := measure(rooms, true)
	if err != nil {
		return err
	}
	fixed, err := measure(rooms, false)
	if err != nil {
		return err
	}
	fmt.Printf("| room | delivered, of the most that it can take | refusals a second | a fixed %d delivers | and has refused |\n|---:|---:|---:|---:|---:|\n", most)
	for i, a := range adaptive.phases {
		f := fixed.phases[i]
		fmt.Printf("| %d | %.2f | %.1f | %.2f | %.1f |\n", rooms[i], a.delivered, a.refused, f.delivered, f.refused)
	}
	if picture == "" {
		return nil
	}
	return proof.DrawLines(picture, "Calls at once", "seconds", "calls", 0, []proof.Line{{Name: "room of the backend", Points: adaptive.room}, {Name: "limit", Points: adaptive.limit}})
}

// course is what was seen in a run.
type course struct {
	phases      []outcome
	room, limit plotter.XYs
}

// outcome is what became of a phase: delivered as a part of what the backend can take; refused a second.
type outcome struct{ delivered, refused float64 }

// measure runs a sender that never stops against a backend with these rooms, one after the other.
func measure(rooms []int, adaptive bool) (c course, err error) {
	b := backendtest.New(1, rooms[0])
	s, err := serve(b)
	if err != nil {
		return c, err
	}
	defer s.close()
	p, err := start(s, adaptive)
	if err != nil {
		return c, err
	}
	begin := time.Now()
	for _, room := range rooms {
		b.SetCapacity(room)
		_, refused := b.Counts()
		var taken int
		for at := time.Duration(0); at < phase; at += sampled {
			if at == settled {
				taken, _ = b.Counts()
			}
			now := time.Since(begin).Seconds()
			c.room = append(c.room, plotter.XY{X: now, Y: float64(room)})
			c.limit = append(c.limit, plotter.XY{X: now, Y: float64(p.limit())})
			time.Sleep(sampled)
		}
		takenNow, refusedNow := b.Counts()
		c.phases = append(c.phases, outcome{
			delivered: float64(takenNow-taken) / (float64(room) * (phase - settled).Seconds() / backendtest.MeanWork.Seconds()),
			refused:   float64(refusedNow-refused) / phase.Seconds(),
		})
	}
	return c, p.stop()
}

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
	stopping atomic.Bool
	senders  sync.WaitGroup
}

func start(s *server, adaptive bool) (*pipeline, error) {
	factory := partitionedbufferprocessor.NewFactory()
	cfg := factory.CreateDefaultConfig().(*partitionedbufferprocessor.Config)
	cfg.NumConsumers, cfg.Timeout, cfg.QueueSize = most, 0, 2*most
	cfg.AdaptiveConcurrency.Enabled = adaptive
	next, err := consumer.NewLogs(s.send)
	if err != nil {
		return nil, err
	}
	p := &pipeline{}
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
