// SPDX-License-Identifier: Apache-2.0

// Package failure says what the error of a batch means: whether it is permanent, whether the batch was too large, how long to
// wait before the next attempt, and what the callers are told. It is pure code over errors.
package failure

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumererror/xconsumererror"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Failure is what the next consumer answered to a batch that it did not take.
type Failure struct {
	err   error
	parts []error // behind a fan-out, one for each consumer that failed
}

// Of examines the error of a batch. err is not nil.
func Of(err error) Failure { return Failure{err: err, parts: parts(err)} }

// Single reports whether the failure is that of one consumer. Only then a subset in it is all that failed.
func (f Failure) Single() bool { return len(f.parts) == 1 }

// Permanent reports whether no part of the failure is worth another attempt.
func (f Failure) Permanent() bool {
	for _, part := range f.parts {
		if !consumererror.IsPermanent(part) {
			return false
		}
	}
	return true
}

// TooLarge reports whether a consumer rejected the batch for its size. Ask it before Permanent: exporters say that this, too,
// is permanent.
func (f Failure) TooLarge() bool {
	for _, part := range f.parts {
		if tooLarge(part) {
			return true
		}
	}
	return false
}

// Delay is how long a gRPC server asks to be left alone; 0: it does not ask.
func (f Failure) Delay() time.Duration {
	if st, ok := status.FromError(f.err); ok {
		return retryInfo(st).GetRetryDelay().AsDuration()
	}
	return 0
}

// ForCallers returns the error for the callers that wait for the batch; several: it has items of more than one. A subset of what
// failed is of use only to a caller that had all of the batch, and only if nothing else failed: the others send all of theirs
// again. As long as a part of the failure is worth another attempt, all of it is.
func (f Failure) ForCallers(several bool) error {
	switch {
	case f.Single() && !several:
		return f.err
	case f.Permanent() != consumererror.IsPermanent(f.err):
		return errors.New(f.err.Error())
	default:
		return wholeError{f.err}
	}
}

// wholeError is err without the telemetry that it may carry.
type wholeError struct{ err error }

func (e wholeError) Error() string        { return e.err.Error() }
func (e wholeError) Is(target error) bool { return errors.Is(e.err, target) }

func (e wholeError) As(target any) bool {
	switch target.(type) {
	case *consumererror.Traces, *consumererror.Metrics, *consumererror.Logs, *xconsumererror.Profiles:
		return false
	}
	return errors.As(e.err, target)
}

// parts returns the errors that err consists of: behind a fan-out each of its consumers may have one. They may be wrapped as a
// whole, but not as a permanent error, which speaks for all of them.
func parts(err error) []error {
	for e := err; e != nil; {
		switch u := e.(type) { //nolint:errorlint // this is the walk over the tree
		case interface{ Unwrap() []error }:
			if reflect.TypeOf(e) == formattedType {
				return []error{err}
			}
			var all []error
			for _, part := range u.Unwrap() {
				all = append(all, parts(part)...)
			}
			return all
		case interface{ Unwrap() error }:
			if reflect.TypeOf(e) == permanentType {
				return []error{err}
			}
			e = u.Unwrap()
		default:
			return []error{err}
		}
	}
	return []error{err}
}

// Types without an exported name. What fmt.Errorf makes of several %w is one error with several causes.
var (
	permanentType = reflect.TypeOf(consumererror.NewPermanent(nil))
	formattedType = reflect.TypeOf(fmt.Errorf("%w %w", errors.ErrUnsupported, errors.ErrUnsupported))
)

// tooLarge knows the answers of a gRPC client or server that a message is over its limit, and HTTP's 413, of which the
// otlphttp exporter leaves only the text.
func tooLarge(err error) bool {
	if e, ok := errors.AsType[*consumererror.Error](err); ok && consumererror.ToHTTPStatus(e) == http.StatusRequestEntityTooLarge {
		return true
	}
	st, ok := status.FromError(err)
	if !ok {
		return false
	}
	text := strings.ToLower(st.Message())
	switch st.Code() {
	case codes.ResourceExhausted:
		if retryInfo(st) != nil {
			return false
		}
		for _, words := range messageTooLarge {
			if strings.Contains(text, words) {
				return true
			}
		}
	case codes.Unknown:
		return strings.Contains(text, "responded with http status code 413")
	}
	return false
}

// messageTooLarge is how the gRPC libraries put it: Go and C++, Java, and those that follow them.
var messageTooLarge = []string{
	"message larger than max", "message after decompression larger than max", "message exceeds maximum size", "message too large", "message size",
}

func retryInfo(st *status.Status) *errdetails.RetryInfo {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info
		}
	}
	return nil
}
