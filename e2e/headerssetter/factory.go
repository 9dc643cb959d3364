// SPDX-License-Identifier: Apache-2.0

// Package headerssetter stands in for contrib's extension of that name, which the module proxy does not have at the version
// that this collector is made of. It takes the part of its configuration that examples/resource-tenants.yaml uses, and does
// the same with it, for gRPC: headers of what is sent, from the client metadata in the context.
package headerssetter

import (
	"context"
	"fmt"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensionauth"
	"google.golang.org/grpc/credentials"
)

// Config of the extension.
type Config struct {
	Headers []Header `mapstructure:"headers"`
}

// Header is one that is set, if the context has a value for it.
type Header struct {
	Action      string `mapstructure:"action"`
	Key         string `mapstructure:"key"`
	FromContext string `mapstructure:"from_context"`
}

// Validate refuses what is not done.
func (c *Config) Validate() error {
	for _, h := range c.Headers {
		if h.Action != "insert" && h.Action != "upsert" || h.Key == "" || h.FromContext == "" {
			return fmt.Errorf("headers: %+v: this stand-in knows insert and upsert, with key and from_context", h)
		}
	}
	return nil
}

// NewFactory returns the factory of the headers_setter extension.
func NewFactory() extension.Factory {
	return extension.NewFactory(component.MustNewType("headers_setter"),
		func() component.Config { return &Config{} },
		func(_ context.Context, _ extension.Settings, cfg component.Config) (extension.Extension, error) {
			return &setter{headers: cfg.(*Config).Headers}, nil
		},
		component.StabilityLevelDevelopment)
}

var _ extensionauth.GRPCClient = (*setter)(nil)

type setter struct {
	component.StartFunc
	component.ShutdownFunc
	headers []Header
}

// PerRPCCredentials implements [extensionauth.GRPCClient].
func (s *setter) PerRPCCredentials() (credentials.PerRPCCredentials, error) { return s, nil }

// RequireTransportSecurity implements [credentials.PerRPCCredentials]: the headers are no secret.
func (s *setter) RequireTransportSecurity() bool { return false }

// GetRequestMetadata implements [credentials.PerRPCCredentials].
func (s *setter) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	metadata, set := client.FromContext(ctx).Metadata, map[string]string{}
	for _, h := range s.headers {
		if values := metadata.Get(h.FromContext); len(values) > 0 {
			set[h.Key] = values[0]
		}
	}
	return set, nil
}
