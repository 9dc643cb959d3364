// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumererror/xconsumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

var errNext = errors.New("the next consumer's own error")

func TestTooLargeIsRecognised(t *testing.T) {
	throttled, err := status.New(codes.ResourceExhausted, "grpc: received message larger than max (5 vs. 4)").WithDetails(&errdetails.RetryInfo{})
	require.NoError(t, err)
	exhausted := func(text string) error { return status.Error(codes.ResourceExhausted, text) }
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"go, received":        {exhausted("grpc: received message larger than max (5000000 vs. 4194304)"), true},
		"go, sent":            {exhausted("trying to send message larger than max (5000000 vs. 4194304)"), true},
		"go, compressed":      {exhausted("grpc: message after decompression larger than max (5000000 vs. 4194304)"), true},
		"c++":                 {exhausted("Received message larger than max (5000000 vs. 4194304)"), true},
		"java":                {exhausted("gRPC message exceeds maximum size 4194304: 5000000"), true},
		"marked permanent":    {consumererror.NewPermanent(exhausted("grpc: received message larger than max (5 vs. 4)")), true},
		"wrapped":             {fmt.Errorf("x: %w", exhausted("grpc: received message larger than max (5 vs. 4)")), true},
		"with RetryInfo":      {throttled.Err(), false},
		"a quota":             {exhausted("quota exceeded"), false},
		"another code":        {status.Error(codes.InvalidArgument, "received message larger than max"), false},
		"otlphttp":            {consumererror.NewPermanent(status.Error(codes.Unknown, "error exporting items, request to http://x responded with HTTP Status Code 413")), true},
		"otlphttp, with text": {consumererror.NewPermanent(status.Error(codes.Unknown, "error exporting items, request to http://x responded with HTTP Status Code 413, Message=no, Details=[]")), true},
		"otlphttp, 414":       {consumererror.NewPermanent(status.Error(codes.Unknown, "error exporting items, request to http://x responded with HTTP Status Code 414")), false},
		"http status":         {fmt.Errorf("x: %w", consumererror.NewOTLPHTTPError(errNext, 413)), true},
		"http status 400":     {consumererror.NewOTLPHTTPError(errNext, 400), false},
		"plain":               {errNext, false},

		// A proxy in front of a gRPC server, as grpc-go says it.
		"nginx":              {consumererror.NewPermanent(status.Error(codes.Unknown, `unexpected HTTP status code received from server: 413 (Request Entity Too Large); transport: received unexpected content-type "text/html"`)), true},
		"envoy":              {status.Error(codes.Unknown, "unexpected HTTP status code received from server: 413 (Payload Too Large)"), true},
		"nginx, bad gateway": {status.Error(codes.Unavailable, "unexpected HTTP status code received from server: 502 (Bad Gateway)"), false},
		// Servers in Rust.
		"tonic":             {status.Error(codes.OutOfRange, "Error, decoded message length too large: found 5242880 bytes, the limit is: 4194304 bytes"), true},
		"tonic, compressed": {exhausted("Error decompressing: size limit, of 4194304 bytes, exceeded while decompressing message"), true},
		// Exporters that leave nothing but text.
		"elasticsearch":           {consumererror.NewPermanent(errors.New("flush failed (413): request entity too large")), true},
		"elasticsearch, throttle": {errors.New("flush failed (429): 413 of your friends were served"), false},
		"splunk_hec":              {consumererror.NewPermanent(errors.New(`HTTP "/services/collector" 413 "Request Entity Too Large"`)), true},
		"splunk_hec, forbidden":   {consumererror.NewPermanent(errors.New(`HTTP "/services/collector" 403 "Forbidden"`)), false},
		"kafka, franz-go":         {errors.New("MESSAGE_TOO_LARGE: The request included a message larger than the max message size the server will accept."), true}, //nolint:revive // the broker's words
		"kafka, sarama":           {errors.New("Failed to deliver 1 messages due to kafka server: Message was too large, server rejected it to avoid allocation error"), true},
		"kafka, sarama's limit":   {errors.New("kafka: invalid configuration (Attempt to produce message larger than configured Producer.MaxMessageBytes: 1001 > 1000)"), true},
		"remote write":            {consumererror.NewPermanent(errors.New("remote write returned HTTP status 413 Request Entity Too Large; err = %!w(<nil>): the request is too big")), true},
		"remote write, old":       {consumererror.NewPermanent(errors.New("remote write returned HTTP status 400 Bad Request; err = %!w(<nil>): out of order sample 413")), false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, Of(test.err).TooLarge(nil))
			require.Equal(t, test.want, Of(errors.Join(errNext, test.err)).TooLarge(nil), "of a fan-out")
		})
	}
}

func TestTooLargeInTheUsersWords(t *testing.T) {
	more := []*regexp.Regexp{regexp.MustCompile("(?i)too many bytes"), regexp.MustCompile(`over \d+ MB`)}
	require.True(t, Of(errors.New("the payload has Too Many Bytes")).TooLarge(more))
	require.True(t, Of(errors.Join(errNext, consumererror.NewPermanent(status.Error(codes.InvalidArgument, "over 4 MB")))).TooLarge(more))
	require.False(t, Of(errNext).TooLarge(more))
}

func TestRejectedIsAboutTheData(t *testing.T) {
	otlphttp := func(code codes.Code, httpCode int) error {
		return consumererror.NewPermanent(status.Errorf(code, "error exporting items, request to http://x responded with HTTP Status Code %d", httpCode))
	}
	for name, test := range map[string]struct {
		err  error
		want bool
	}{
		"grpc":                 {consumererror.NewPermanent(status.Error(codes.InvalidArgument, "string field contains invalid UTF-8")), true},
		"grpc, wrapped":        {fmt.Errorf("x: %w", status.Error(codes.InvalidArgument, "no")), true},
		"otlphttp 400":         {otlphttp(codes.InvalidArgument, 400), true},
		"otlphttp 422":         {otlphttp(codes.Unknown, 422), true},
		"otlphttp 401":         {otlphttp(codes.Unauthenticated, 401), false},
		"otlphttp 403":         {otlphttp(codes.PermissionDenied, 403), false},
		"otlphttp 413":         {otlphttp(codes.Unknown, 413), false},
		"http status":          {consumererror.NewOTLPHTTPError(errNext, 422), true},
		"http status 404":      {consumererror.NewOTLPHTTPError(errNext, 404), false},
		"remote write":         {consumererror.NewPermanent(errors.New("remote write returned HTTP status 400 Bad Request; err = %!w(<nil>): out of order sample")), true},
		"unauthenticated":      {status.Error(codes.Unauthenticated, "no"), false},
		"unavailable":          {status.Error(codes.Unavailable, "later"), false},
		"permanent":            {consumererror.NewPermanent(errNext), false},
		"fan-out, all reject":  {errors.Join(status.Error(codes.InvalidArgument, "a"), status.Error(codes.InvalidArgument, "b")), true},
		"fan-out, one rejects": {errors.Join(status.Error(codes.InvalidArgument, "a"), status.Error(codes.Unavailable, "b")), false},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, Of(test.err).Rejected()) })
	}
}

func TestPartsOfAnError(t *testing.T) {
	other := errors.New("other")
	permanent := consumererror.NewPermanent
	for name, test := range map[string]struct {
		err       error
		parts     int
		permanent bool
	}{
		"one":                   {errNext, 1, false},
		"permanent":             {permanent(errNext), 1, true},
		"wrapped":               {fmt.Errorf("x: %w", permanent(errNext)), 1, true},
		"joined":                {errors.Join(errNext, other), 2, false},
		"joined, one permanent": {errors.Join(permanent(errNext), other), 2, false},
		"joined, all permanent": {errors.Join(permanent(errNext), permanent(other)), 2, true},
		"joined twice":          {errors.Join(permanent(errNext), errors.Join(permanent(other), errNext)), 3, false},
		"joined as one":         {permanent(errors.Join(errNext, other)), 1, true},
		"joined alone":          {errors.Join(permanent(errNext)), 1, true},
		"joined and wrapped":    {consumererror.NewDownstream(errors.Join(permanent(errNext), other)), 2, false},
		"one with two causes":   {fmt.Errorf("%w: %w", other, permanent(errNext)), 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := Of(test.err)
			require.Len(t, f.parts, test.parts)
			require.Equal(t, test.parts == 1, f.Single())
			require.Equal(t, test.permanent, f.Permanent())
			for _, several := range []bool{false, true} {
				told := f.ForCallers(several)
				require.Equal(t, test.permanent, consumererror.IsPermanent(told))
				require.Equal(t, test.err.Error(), told.Error())
			}
		})
	}
}

func TestDelayIsWhatTheServerAsks(t *testing.T) {
	asks, err := status.New(codes.Unavailable, "later").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(7 * time.Second)})
	require.NoError(t, err)
	require.Equal(t, 7*time.Second, Of(fmt.Errorf("x: %w", asks.Err())).Delay())
	require.Zero(t, Of(status.Error(codes.Unavailable, "later")).Delay())
	require.Zero(t, Of(errNext).Delay())
	// Retry-After of the otlphttp exporter, in the text of exporterhelper, whose real errors are tried in bench/.
	throttled := func(d time.Duration) error {
		return fmt.Errorf("Throttle (%v), error: %w", d, status.Error(codes.Unavailable, "busy"))
	}
	for _, d := range []time.Duration{time.Second, 90 * time.Second, 1500 * time.Millisecond} {
		require.Equal(t, d, Of(throttled(d)).Delay())
		require.Equal(t, d, Of(fmt.Errorf("no more retries left: %w", throttled(d))).Delay(), "wrapped")
		require.Equal(t, d, Of(errors.Join(errNext, throttled(d), throttled(d/2))).Delay(), "of a fan-out, the longest")
	}
	require.Zero(t, Of(throttled(-time.Second)).Delay(), "a date that is over")
	endless, err := status.New(codes.Unavailable, "never").WithDetails(&errdetails.RetryInfo{RetryDelay: &durationpb.Duration{Seconds: math.MaxInt64}})
	require.NoError(t, err)
	require.Equal(t, maxDelay, Of(endless.Err()).Delay(), "more than a duration can say")
	require.Equal(t, maxDelay, Of(throttled(math.MaxInt64)).Delay())
}

// TestErrorsAreShort: an error of many batches names a few and counts the rest, and means what it meant (I10).
func TestErrorsAreShort(t *testing.T) {
	long := strings.Repeat("é", 5000)
	for _, n := range []int{1, 2, 100, 5000} {
		for _, several := range []bool{false, true} {
			t.Run(fmt.Sprint(n, several), func(t *testing.T) {
				first := status.Error(codes.Unavailable, long)
				all := []error{first}
				for i := range n - 1 {
					all = append(all, consumererror.NewPermanent(fmt.Errorf("batch %d: %w", i, status.Error(codes.Aborted, long))))
				}
				f := Of(errors.Join(all...))
				for _, err := range []error{f.ForCallers(several), f.Err()} {
					require.Less(t, len(err.Error()), maxText+100)
					require.True(t, utf8.ValidString(err.Error()))
					require.NotContains(t, err.Error(), "batch 3:")
					if n > maxNamed {
						require.Contains(t, err.Error(), fmt.Sprintf("and %d more errors", n-maxNamed))
					}
				}
				require.False(t, consumererror.IsPermanent(f.ForCallers(several)))
				if n == 1 {
					require.Equal(t, codes.Unavailable, status.Code(f.ForCallers(several)))
					require.ErrorIs(t, f.ForCallers(several), first)
				}
				require.ErrorIs(t, f.Err(), first)
			})
		}
	}
	require.Equal(t, errNext, Of(errNext).Err(), "a short one stays as it is")
}

// subset is an error that carries telemetry, and finds it again.
type subset struct {
	err  func(error) error
	find func(error) bool
}

func carries[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestSubsetIsHiddenAndNothingElse(t *testing.T) {
	for name, s := range map[string]subset{
		"traces":   {func(err error) error { return consumererror.NewTraces(err, ptrace.NewTraces()) }, carries[consumererror.Traces]},
		"metrics":  {func(err error) error { return consumererror.NewMetrics(err, pmetric.NewMetrics()) }, carries[consumererror.Metrics]},
		"logs":     {func(err error) error { return consumererror.NewLogs(err, plog.NewLogs()) }, carries[consumererror.Logs]},
		"profiles": {func(err error) error { return xconsumererror.NewProfiles(err, pprofile.NewProfiles()) }, carries[xconsumererror.Profiles]},
	} {
		t.Run(name, func(t *testing.T) {
			rejected := status.Error(codes.Aborted, "rejected")
			err := fmt.Errorf("x: %w", s.err(consumererror.NewPermanent(rejected)))
			require.True(t, s.find(err))
			require.Equal(t, err, Of(err).ForCallers(false))
			told := Of(err).ForCallers(true)
			require.False(t, s.find(told))
			require.True(t, consumererror.IsPermanent(told))
			require.ErrorIs(t, told, rejected)
			require.Equal(t, codes.Aborted, status.Code(told))
			require.Equal(t, err.Error(), told.Error())
		})
	}
}
