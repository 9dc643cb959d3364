// SPDX-License-Identifier: Apache-2.0

// Package failure says what the error of a batch means: whether it is permanent, whether the batch was too large, how long to
// wait before the next attempt, and what the callers are told. It is pure code over errors.
package failure

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumererror/xconsumererror"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// Failure is what the next consumer answered to a batch that it did not take.
type Failure struct {
	err   error
	parts []error // behind a fan-out, one for each consumer that failed
	text  string  // of err, of bounded length
}

// Of examines the error of a batch. err is not nil.
func Of(err error) Failure {
	f := Failure{err: err, parts: parts(err)}
	f.text = bounded(err, f.parts)
	return f
}

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

// TooLarge reports whether a consumer rejected the batch for its size, in known words or in those of more. Ask it before
// Permanent: exporters say that this, too, is permanent.
func (f Failure) TooLarge(more []*regexp.Regexp) bool {
	return slices.ContainsFunc(f.parts, func(part error) bool { return tooLarge(part, more) })
}

// Rejected reports whether every consumer that failed says that the data is bad. If only some do, the others may take it yet.
func (f Failure) Rejected() bool {
	return !slices.ContainsFunc(f.parts, func(part error) bool { return !rejected(part) })
}

// Overloaded reports whether a consumer refused the batch because it has too much to do, or did not answer in time.
func (f Failure) Overloaded() bool { return slices.ContainsFunc(f.parts, overloaded) }

// maxDelay bounds Delay: whoever asks for more is asked again after an hour.
const maxDelay = time.Hour

// Delay is how long a server asks to be left alone, at most maxDelay; 0: it does not ask. gRPC's RetryInfo says it, or
// HTTP's Retry-After, of which exporterhelper leaves the text only.
func (f Failure) Delay() (delay time.Duration) {
	for _, part := range f.parts {
		if st, ok := status.FromError(part); ok {
			delay = max(delay, retryInfo(st).GetRetryDelay().AsDuration())
		}
		for _, m := range throttle.FindAllStringSubmatch(part.Error(), -1) {
			if d, err := time.ParseDuration(m[1]); err == nil {
				delay = max(delay, d)
			}
		}
	}
	return min(delay, maxDelay)
}

// throttle is the text of the error that exporterhelper.NewThrottleRetry makes, whose type has no exported name.
var throttle = regexp.MustCompile(`Throttle \(([^)]{1,40})\), error: `)

// Err returns the error with a text of bounded length, for a log. What errors.Is and errors.As find in it is as it was.
func (f Failure) Err() error {
	if len(f.text) == len(f.err.Error()) {
		return f.err
	}
	return shortError{f.err, f.text}
}

// ForCallers returns the error for the callers that wait for the batch; several: it has items of more than one. A subset of what
// failed is of use only to a caller that had all of the batch, and only if nothing else failed: the others send all of theirs
// again. As long as a part of the failure is worth another attempt, all of it is. Its text is of bounded length.
func (f Failure) ForCallers(several bool) error {
	switch {
	case f.Single() && !several:
		return f.Err()
	case f.Permanent() != consumererror.IsPermanent(f.err):
		return errors.New(f.text)
	default:
		return wholeError{shortError{f.err, f.text}}
	}
}

// shortError is err with a text of bounded length.
type shortError struct {
	err  error
	text string
}

func (e shortError) Error() string { return e.text }
func (e shortError) Unwrap() error { return e.err }

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

// An error ends in a gRPC header, of which clients take 8 KiB, and in a line of a log (I10).
const (
	maxText  = 2048 // bytes of the text of an error
	maxPart  = 512  // of each part that is named, where there are many
	maxNamed = 3    // parts
)

// bounded returns the text of err; if that is too long, of its first parts, and the number of the others.
func bounded(err error, parts []error) string {
	text := err.Error()
	if len(text) <= maxText {
		return text
	}
	if len(parts) == 1 {
		return shorten(text, maxText)
	}
	var b strings.Builder
	for _, part := range parts[:min(maxNamed, len(parts))] {
		b.WriteString(shorten(part.Error(), maxPart))
		b.WriteString("; ")
	}
	if more := len(parts) - maxNamed; more > 0 {
		fmt.Fprintf(&b, "and %d more errors", more)
		return b.String()
	}
	return strings.TrimSuffix(b.String(), "; ")
}

// shorten returns the beginning of text, in at most about most bytes of valid UTF-8, and says how long the whole is.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return fmt.Sprintf("%s... (%d bytes in all)", strings.ToValidUTF8(text[:most], ""), len(text))
}

func retryInfo(st *status.Status) *errdetails.RetryInfo {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info
		}
	}
	return nil
}
