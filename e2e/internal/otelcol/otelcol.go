// SPDX-License-Identifier: Apache-2.0

// Package otelcol runs a collector binary as a child process.
package otelcol

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/loopback"
)

// Bounds of the two waits below. They only ever end a run that is broken: a start takes well under a second, and a stop ends by
// the processor's shutdown_timeout.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 60 * time.Second
)

// NeverFlush is a flush_interval for file exporters. It leaves the writing to their end, which is all that matters here: when an
// exporter of v0.161.0 stops, a flush that its ticker began just then runs unlocked beside the last one, which the race
// detector sees once in some hundred runs.
const NeverFlush = "1h"

// RaceReport begins a report of the race detector in the log.
const RaceReport = "WARNING: DATA RACE"

// AnyPort is a config that has the otlp receiver listen on free ports of loopback. It goes after one that has the receiver.
const AnyPort = "yaml:{receivers: {otlp: {protocols: {grpc: {endpoint: 127.0.0.1:0}, http: {endpoint: 127.0.0.1:0}}}}}"

// ErrTooEarly is what Stop returns when the collector was killed by a SIGTERM that it did not listen for yet. It says that it is
// ready just before it begins to listen, and nothing that can be seen from outside tells when it does. Only who stops a
// collector without having sent it anything comes to see this, and should start and stop another.
var ErrTooEarly = errors.New("the collector did not listen for SIGTERM yet")

// Options says what to run.
type Options struct {
	// Binary is the collector to run.
	Binary string
	// Configs are what --config takes, merged in this order: files, or "yaml:..." with the text itself.
	Configs []string
	// FeatureGates is what --feature-gates takes; none if empty.
	FeatureGates string
	// Dir is the working directory, where relative paths of the config end up.
	Dir string
	// MetricsLevel is the level of the collector's own metrics; normal if empty.
	MetricsLevel string
}

// Collector is a running collector.
type Collector struct {
	// GRPC and HTTP are the addresses that the otlp receiver listens on; empty if it has no such endpoint.
	GRPC, HTTP string

	metricsAddr string
	cmd         *exec.Cmd
	log         *processLog
	exited      chan struct{} // closed once the process is gone and its output complete
	exitErr     error         // written before exited is closed
}

// Binary gives the absolute path of a binary under test: the value of the environment variable env, or else path, taken from
// the folder of the e2e module. The binary has to be there, nothing here builds it.
func Binary(env, path string) (string, error) {
	from := "the default path"
	if v := os.Getenv(env); v != "" {
		path, from = v, env
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(abs); err != nil {
		return "", fmt.Errorf("no binary at %s (%s): run `make build-e2e` at the top of the repository, or set %s: %w",
			abs, from, env, err)
	}
	return abs, nil
}

// Start runs the collector and returns when it says that it is ready. It must be stopped. When ctx ends it is killed.
//
// The config should have its otlp receiver listen on port 0 of loopback: the ports are read from the collector's log, so that
// none is ever taken by somebody else in between. Its own metrics cannot be had that way, their port is chosen here, and a
// start that finds it taken is tried again with another.
func Start(ctx context.Context, o Options) (*Collector, error) {
	var err error
	for range 5 {
		var c *Collector
		if c, err = start(ctx, o); err == nil || !strings.Contains(err.Error(), "address already in use") {
			return c, err
		}
	}
	return nil, err
}

func start(ctx context.Context, o Options) (*Collector, error) {
	c, err := launch(ctx, o)
	if err != nil {
		return nil, err
	}
	select {
	case <-c.log.ready:
		c.GRPC, c.HTTP = c.log.endpoints()
		if _, err := c.Scrape(ctx); err != nil {
			return nil, errors.Join(err, c.Kill())
		}
		return c, nil
	case <-c.exited:
		return nil, fmt.Errorf("the collector did not start (%w):\n%s", exitError(c.exitErr), c.tail())
	case <-time.After(startTimeout):
		_ = c.Kill()
		return nil, fmt.Errorf("the collector was not ready within %s:\n%s", startTimeout, c.tail())
	}
}

// Refuse runs a collector that is expected to reject its config, and returns what it printed. It is an error if it starts.
func Refuse(ctx context.Context, o Options) (output string, err error) {
	c, err := launch(ctx, o)
	if err != nil {
		return "", err
	}
	select {
	case <-c.exited:
		if c.exitErr == nil {
			return c.Log(), errors.New("the collector refused its config, but exited with 0")
		}
		return c.Log(), nil
	case <-c.log.ready:
		err = errors.New("the collector started")
	case <-time.After(startTimeout):
		err = fmt.Errorf("the collector neither started nor exited within %s", startTimeout)
	}
	return c.Log(), errors.Join(err, c.Kill())
}

func launch(ctx context.Context, o Options) (*Collector, error) {
	addr, err := loopback.FreeAddr()
	if err != nil {
		return nil, err
	}
	c := &Collector{metricsAddr: addr, log: newProcessLog(), exited: make(chan struct{})}
	var args []string
	for _, uri := range append(o.Configs, metricsConfig(addr, o.MetricsLevel)) {
		args = append(args, "--config="+uri)
	}
	if o.FeatureGates != "" {
		args = append(args, "--feature-gates="+o.FeatureGates)
	}
	c.cmd = exec.CommandContext(ctx, o.Binary, args...)
	c.cmd.Dir = o.Dir
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.exitErr = c.cmd.Wait()
		close(c.exited)
	}()
	return c, nil
}

func metricsConfig(addr, level string) string {
	if level == "" {
		level = "normal"
	}
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf("yaml:{service: {telemetry: {metrics: {level: %s, readers: "+
		"[{pull: {exporter: {prometheus: {host: %s, port: %s}}}}]}}}}", level, host, port)
}

// MetricsAddr is the address at which the collector serves its own metrics.
func (c *Collector) MetricsAddr() string {
	return c.metricsAddr
}

// PID is the number of the process.
func (c *Collector) PID() int { return c.cmd.Process.Pid }

// Terminate sends SIGTERM and does not wait.
func (c *Collector) Terminate() error {
	return c.cmd.Process.Signal(syscall.SIGTERM)
}

// Reload sends SIGHUP, upon which the collector stops all components and starts them again. It does not wait.
func (c *Collector) Reload() error {
	return c.cmd.Process.Signal(syscall.SIGHUP)
}

// LimitFiles bounds the size of each file that the process writes, as a disk that is full does: beyond it a write fails. What is there
// can be read. NoLimit ends that.
func (c *Collector) LimitFiles(bytes uint64) error {
	return unix.Prlimit(c.PID(), unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil)
}

// NoLimit is for LimitFiles.
const NoLimit = unix.RLIM_INFINITY

// Stop sends SIGTERM, unless the process is gone already, and waits for the end. It is an error if the collector exits with
// anything but 0, or does not exit in time; then it is killed.
func (c *Collector) Stop() error {
	if err := c.Terminate(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return errors.Join(err, c.Kill())
	}
	select {
	case <-c.exited:
		if c.killedBy(syscall.SIGTERM) && !strings.Contains(c.Log(), "Received signal from OS") {
			return ErrTooEarly
		}
		if c.exitErr != nil {
			return fmt.Errorf("the collector ended with %w:\n%s", c.exitErr, c.tail())
		}
		return nil
	case <-time.After(stopTimeout):
		return errors.Join(fmt.Errorf("the collector did not stop within %s of SIGTERM:\n%s", stopTimeout, c.tail()), c.Kill())
	}
}

func (c *Collector) killedBy(s syscall.Signal) bool {
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == s
}

// Kill ends the process at once and waits until it is gone.
func (c *Collector) Kill() error {
	err := c.cmd.Process.Kill()
	<-c.exited
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Log gives what the collector printed so far.
func (c *Collector) Log() string {
	return c.log.String()
}

// tail is the end of the log, for errors; if the race detector had something to say, what follows its first report.
func (c *Collector) tail() string {
	const most = 16 << 10
	s := c.Log()
	if race := strings.Index(s, RaceReport); race >= 0 {
		return s[race:min(len(s), race+most)]
	}
	if len(s) > most {
		s = "...\n" + s[len(s)-most:]
	}
	return s
}

func exitError(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}
