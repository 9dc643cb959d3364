// SPDX-License-Identifier: Apache-2.0

// Package e2e has tests of whole collectors: binaries that ocb built from builder-config.yaml with this processor, run as child
// processes, loaded over OTLP gRPC, and judged by what their exporters received. `make test` builds the binaries before; they
// may also be named by the environment variables OTELCOL, OTELCOL_RACE, TELEMETRYGEN and PROMETHEUS.
package e2e
