// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/consumer/consumererror"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What backends answer reaches us as an error of an exporter. Some errors have a status, gRPC's or HTTP's. Of others only the
// text is left, in the words of the exporter or of what stands behind it.

// words is how an answer says that a message is too large, in lower case.
type words struct {
	codes []codes.Code // that the words come with; none: with any, or with an error that has no status
	text  string
}

// tooLargeWords has a test for each row, with the whole text and its source.
var tooLargeWords = []words{
	{[]codes.Code{codes.ResourceExhausted}, "message larger than max"},              // grpc-go and gRPC C++, both directions
	{[]codes.Code{codes.ResourceExhausted}, "after decompression larger than max"},  // grpc-go
	{[]codes.Code{codes.ResourceExhausted}, "exceeds maximum size"},                 // gRPC Java
	{[]codes.Code{codes.ResourceExhausted}, "message too large"},                    // servers that check for themselves
	{[]codes.Code{codes.ResourceExhausted}, "message size"},                         // likewise
	{[]codes.Code{codes.ResourceExhausted}, "exceeded while decompressing message"}, // tonic
	{[]codes.Code{codes.OutOfRange}, "message length too large"},                    // tonic
	{nil, "message was too large, server rejected it"},                              // sarama, of a broker
	{nil, "produce message larger than configured"},                                 // sarama, of its own limit
	{nil, "message_too_large"},                                                      // franz-go
}

// tooLarge reports whether err says that a message is over a limit of its receiver.
func tooLarge(err error, more []*regexp.Regexp) bool {
	if httpStatus(err) == http.StatusRequestEntityTooLarge {
		return true
	}
	text := err.Error()
	for _, re := range more {
		if re.MatchString(text) {
			return true
		}
	}
	st, hasStatus := status.FromError(err)
	if hasStatus && retryInfo(st) != nil {
		return false // a quota: the same message may pass later
	}
	text = strings.ToLower(text)
	return slices.ContainsFunc(tooLargeWords, func(w words) bool {
		return (w.codes == nil || hasStatus && slices.Contains(w.codes, st.Code())) && strings.Contains(text, w.text)
	})
}

// rejected reports whether err says that the data is bad, so that it will never be taken as it is.
func rejected(err error) bool {
	switch httpStatus(err) {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return true
	}
	st, ok := status.FromError(err)
	return ok && st.Code() == codes.InvalidArgument
}

// overloaded reports whether err says that the backend has too much to do, or did not answer in time.
func overloaded(err error) bool {
	switch {
	case consumererror.IsPermanent(err):
		return false
	case errors.Is(err, context.DeadlineExceeded):
		return true
	}
	switch httpStatus(err) {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	switch st, _ := status.FromError(err); st.Code() {
	case codes.ResourceExhausted, codes.Unavailable, codes.DeadlineExceeded:
		return true
	default:
		return false
	}
}

// httpStatus returns the HTTP status of an answer, from the error if it carries one, else from the words of the exporters that
// leave nothing but their text; 0: there is none.
func httpStatus(err error) int {
	if e, ok := errors.AsType[*consumererror.Error](err); ok {
		return consumererror.ToHTTPStatus(e)
	}
	for _, re := range httpStatusWords {
		if m := re.FindStringSubmatch(err.Error()); m != nil {
			s, _ := strconv.Atoi(m[1]) // three digits
			return s
		}
	}
	return 0
}

// httpStatusWords has a test for each row.
var httpStatusWords = []*regexp.Regexp{
	regexp.MustCompile(`responded with HTTP Status Code (\d{3})\b`),                   // otlphttp exporter
	regexp.MustCompile(`unexpected HTTP status code received from server: (\d{3})\b`), // grpc-go, of a proxy that speaks no gRPC: nginx, Envoy
	regexp.MustCompile(`remote write returned HTTP status (\d{3})\b`),                 // prometheusremotewrite exporter
	regexp.MustCompile(`flush failed \((\d{3})\)`),                                    // elasticsearch exporter
	regexp.MustCompile(`HTTP "[^"]*" (\d{3}) "`),                                      // splunk_hec, sapm and signalfx exporters
}
