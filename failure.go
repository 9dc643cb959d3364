// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

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

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

// failure is what an error says of the batch that it is about.
type failure[P any] struct {
	parts  []error
	partly bool // only subset failed
	subset P    // another's
	items  int  // that failed
}

// examine looks at the error of a batch with so many items.
func examine[P any](sig signal.Signal[P], err error, items int) failure[P] {
	f := failure[P]{parts: parts(err), items: items}
	if len(f.parts) > 1 {
		return f
	}
	if subset, ok := sig.Subset(err); ok {
		if n := sig.Items(subset); n > 0 { // else nobody can tell what failed
			f.partly, f.subset, f.items = true, subset, n
		}
	}
	return f
}

// parts are the errors that err consists of: behind a fan-out each of its consumers may have one. They may be wrapped as a
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

// allPermanent tells whether nothing of err is worth another attempt.
func allPermanent(parts []error) bool {
	for _, part := range parts {
		if !consumererror.IsPermanent(part) {
			return false
		}
	}
	return true
}

// anyTooLarge tells whether one of those that failed would have taken less. It is asked before anything about permanence, as
// exporters say that this, too, is permanent.
func anyTooLarge(parts []error) bool {
	for _, part := range parts {
		if tooLarge(part) {
			return true
		}
	}
	return false
}

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

// askedDelay is how long a gRPC server asks to be left alone; 0: it does not.
func askedDelay(err error) time.Duration {
	if st, ok := status.FromError(err); ok {
		return retryInfo(st).GetRetryDelay().AsDuration()
	}
	return 0
}

// forOrigins is what callers are told of err. A subset of what failed is of use only to one who had all of it, and only if
// nothing else failed: the others send all of theirs again. As long as a part of err is worth another attempt, all of it is.
func forOrigins(err error, several bool) error {
	all := parts(err)
	switch {
	case len(all) == 1 && !several:
		return err
	case allPermanent(all) != consumererror.IsPermanent(err):
		return errors.New(err.Error())
	default:
		return wholeError{err}
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
