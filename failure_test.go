// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/signal"
)

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
			require.Equal(t, test.want, anyTooLarge(parts(test.err)))
			require.Equal(t, test.want, anyTooLarge(parts(errors.Join(errNext, test.err))), "of a fan-out")
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
			require.Len(t, parts(test.err), test.parts)
			require.Equal(t, test.permanent, allPermanent(parts(test.err)))
			for _, several := range []bool{false, true} {
				told := forOrigins(test.err, several)
				require.Equal(t, test.permanent, consumererror.IsPermanent(told))
				require.Equal(t, test.err.Error(), told.Error())
			}
		})
	}
}

func TestSubsetIsHiddenAndNothingElse(t *testing.T) {
	for _, k := range kinds {
		rejected := status.Error(codes.Aborted, "rejected")
		err := fmt.Errorf("x: %w", k.partial(consumererror.NewPermanent(rejected), 0, 3))
		require.Equal(t, k.list(0, 3), k.subset(err))
		require.Equal(t, err, forOrigins(err, false))
		told := forOrigins(err, true)
		require.Nil(t, k.subset(told))
		require.True(t, consumererror.IsPermanent(told))
		require.ErrorIs(t, told, rejected)
		require.Equal(t, codes.Aborted, status.Code(told))
		require.Equal(t, err.Error(), told.Error())
	}
}

func TestEmptySubsetSaysNothing(t *testing.T) {
	f := examine(signal.Logs{}, logs.partial(errNext, logs.payload(0, 0)), 5)
	require.False(t, f.partly)
	require.Equal(t, 5, f.items)
	f = examine(signal.Logs{}, errors.Join(logs.partial(errNext, logs.payload(0, 2)), errNext), 5)
	require.False(t, f.partly, "beside another error")
	f = examine(signal.Logs{}, errors.Join(logs.partial(errNext, logs.payload(0, 2))), 5)
	require.Equal(t, 2, f.items)
}
