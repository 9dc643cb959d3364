// SPDX-License-Identifier: Apache-2.0

package otlpio

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/pprofile/pprofileotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// Client sends payloads to an OTLP gRPC receiver. It never sends anything twice.
type Client struct {
	conn *grpc.ClientConn
}

// Dial makes a client. It must be closed.
func Dial(endpoint string) (*Client, error) {
	// gRPC itself sends a call again that surely never reached the server; here every call counts, so it does not.
	conn, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		return nil, err
	}
	return &Client{conn: conn}, nil
}

// Close ends the connection.
func (c *Client) Close() error {
	return c.conn.Close()
}

// Send returns nil when the receiver acknowledged the whole payload.
func (c *Client) Send(ctx context.Context, p Payload) error {
	var rejected int64
	var message string
	var err error
	switch p.Signal {
	case Traces:
		var resp ptraceotlp.ExportResponse
		resp, err = ptraceotlp.NewGRPCClient(c.conn).Export(ctx, ptraceotlp.NewExportRequestFromTraces(p.Traces))
		if err == nil {
			rejected, message = resp.PartialSuccess().RejectedSpans(), resp.PartialSuccess().ErrorMessage()
		}
	case Metrics:
		var resp pmetricotlp.ExportResponse
		resp, err = pmetricotlp.NewGRPCClient(c.conn).Export(ctx, pmetricotlp.NewExportRequestFromMetrics(p.Metrics))
		if err == nil {
			rejected, message = resp.PartialSuccess().RejectedDataPoints(), resp.PartialSuccess().ErrorMessage()
		}
	case Logs:
		var resp plogotlp.ExportResponse
		resp, err = plogotlp.NewGRPCClient(c.conn).Export(ctx, plogotlp.NewExportRequestFromLogs(p.Logs))
		if err == nil {
			rejected, message = resp.PartialSuccess().RejectedLogRecords(), resp.PartialSuccess().ErrorMessage()
		}
	case Profiles:
		var resp pprofileotlp.ExportResponse
		resp, err = pprofileotlp.NewGRPCClient(c.conn).Export(ctx, pprofileotlp.NewExportRequestFromProfiles(p.Profiles))
		if err == nil {
			rejected, message = resp.PartialSuccess().RejectedProfiles(), resp.PartialSuccess().ErrorMessage()
		}
	}
	if err == nil && rejected != 0 {
		err = fmt.Errorf("%d rejected: %s", rejected, message)
	}
	return err
}
