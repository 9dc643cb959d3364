// SPDX-License-Identifier: Apache-2.0

// Package prometheus runs a Prometheus server as a child process.
package prometheus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/loopback"
)

// startTimeout only ever ends a start that is broken.
const startTimeout = 60 * time.Second

// Options says what to run.
type Options struct {
	// Binary is the server to run.
	Binary string
	// Config is the configuration, in YAML. Paths in it are relative to Dir.
	Config string
	// Dir is where the server keeps its data.
	Dir string
	// Args is what goes on the command line besides.
	Args []string
}

// Server is a running server.
type Server struct {
	v1.API

	// Addr is where it listens.
	Addr string

	cmd    *exec.Cmd
	log    bytes.Buffer  // complete once exited is closed; not to be read before
	exited chan struct{} // closed once the process is gone
}

// Start runs a server on a free port of loopback, and returns when it is ready. It must be stopped. When ctx ends it is killed.
func Start(ctx context.Context, o Options) (*Server, error) {
	config := filepath.Join(o.Dir, "prometheus.yaml")
	if err := os.WriteFile(config, []byte(o.Config), 0o600); err != nil {
		return nil, err
	}
	var err error
	for range 5 { // somebody else may take the port that was free
		var s *Server
		if s, err = start(ctx, o, config); err == nil || !strings.Contains(err.Error(), "address already in use") {
			return s, err
		}
	}
	return nil, err
}

func start(ctx context.Context, o Options, config string) (*Server, error) {
	addr, err := loopback.FreeAddr()
	if err != nil {
		return nil, err
	}
	client, err := api.NewClient(api.Config{Address: "http://" + addr})
	if err != nil {
		return nil, err
	}
	s := &Server{API: v1.NewAPI(client), Addr: addr, exited: make(chan struct{})}
	s.cmd = exec.CommandContext(ctx, o.Binary, append([]string{
		"--config.file=" + config, "--web.listen-address=" + addr, "--storage.tsdb.path=" + filepath.Join(o.Dir, "data"), "--log.level=warn",
	}, o.Args...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for !isReady(ctx, addr) {
		select {
		case <-s.exited:
			return nil, fmt.Errorf("the server did not start:\n%s", &s.log)
		case <-ctx.Done():
			s.Stop()
			return nil, errors.Join(ctx.Err(), fmt.Errorf("the server was not ready in time:\n%s", &s.log))
		case <-time.After(50 * time.Millisecond):
		}
	}
	return s, nil
}

func isReady(ctx context.Context, addr string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/-/ready", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Stop ends the process and waits until it is gone. Its data is of no use afterwards.
func (s *Server) Stop() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}
