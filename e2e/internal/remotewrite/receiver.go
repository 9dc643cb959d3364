// SPDX-License-Identifier: Apache-2.0

package remotewrite

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"
)

// slow stands in front of a receiver. It holds all calls until it is opened. Then it adds latency to each: a third of it to one call, two thirds
// to the next, all of it to the one after, as no network is even.
type slow struct {
	*httptest.Server
	open     chan struct{}
	latency  time.Duration
	calls    atomic.Int64
	rejected atomic.Int64 // calls that were answered with an error
	inFlight atomic.Int64
	most     atomic.Int64 // of inFlight
}

func newSlow(receiver string, latency time.Duration) (*slow, error) {
	to, err := url.Parse(receiver)
	if err != nil {
		return nil, err
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	s := &slow{open: make(chan struct{}), latency: latency}
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.StatusCode/100 != 2 {
			s.rejected.Add(1)
		}
		return nil
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := s.inFlight.Add(1)
		defer s.inFlight.Add(-1)
		for most := s.most.Load(); n > most && !s.most.CompareAndSwap(most, n); most = s.most.Load() {
		}
		<-s.open
		time.Sleep(s.latency * time.Duration(1+s.calls.Add(1)%3) / 3)
		proxy.ServeHTTP(w, r)
	}))
	return s, nil
}

// await waits until so many calls are held at once.
func (s *slow) await(ctx context.Context, calls int) error {
	if err := poll(ctx, func() (bool, error) { return s.most.Load() >= int64(calls), nil }); err != nil {
		return fmt.Errorf("%d of %d calls at once: %w", s.most.Load(), calls, err)
	}
	return nil
}
