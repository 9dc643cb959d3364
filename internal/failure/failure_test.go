// SPDX-License-Identifier: Apache-2.0

package failure

import (
	"errors"
	"fmt"
	"testing"
	"time"

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
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, Of(test.err).TooLarge())
			require.Equal(t, test.want, Of(errors.Join(errNext, test.err)).TooLarge(), "of a fan-out")
		})
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
