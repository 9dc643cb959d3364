// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Names of failures that are no gRPC status.
const (
	Panic = "Panic"  // of the next consumer
	Other = "_OTHER" // as semantic conventions name what they have no name for
)

// PanicError is a panic of the next consumer.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // of the goroutine that panicked
}

func (e *PanicError) Error() string { return fmt.Sprintf("the next consumer panicked: %v", e.Value) }

// Type names the failure as the exporters' metrics do: by its gRPC status, if it has one. There are as many names as there are
// status codes, and a few more. Behind a fan-out the first consumer that failed decides.
func (f Failure) Type() string {
	err := f.parts[0]
	if _, ok := errors.AsType[*PanicError](err); ok {
		return Panic
	}
	switch {
	case errors.Is(err, context.Canceled):
		return "Canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "Deadline_Exceeded"
	}
	if st, ok := status.FromError(err); ok && st.Code() > codes.OK && st.Code() <= codes.Unauthenticated {
		return st.Code().String()
	}
	return Other
}
