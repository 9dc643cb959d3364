// SPDX-License-Identifier: Apache-2.0

package batcher

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/partitionedbuffer/partitionedbufferprocessor/partitioned"
)

// callerError is an error of the queue in the words of the configuration: what happened, which key with which value decided it,
// and what can be done. None is permanent: the sender may try again.
type callerError struct {
	text  string
	cause error // for programs; its text is not shown
}

func (e *callerError) Error() string { return e.text }
func (e *callerError) Unwrap() error { return e.cause }

// explain returns an error of the queue for a caller. An error of the next consumer, or of another processor, stays as it is.
func (s *Settings) explain(err error) error {
	if _, ok := errors.AsType[*callerError](err); ok {
		return err
	}
	var text string
	switch {
	case errors.Is(err, partitioned.ErrFull):
		text = "the queue is full: " + s.limits() + "; send again later, or raise it if this lasts"
	case errors.Is(err, partitioned.ErrTooManyKeys):
		text = fmt.Sprintf("too many keys (values of metadata_keys, resource_keys, attribute_keys and key_expressions) are pending: metadata_cardinality_limit is %d; send again later, or raise it", s.MaxKeys)
	case errors.Is(err, partitioned.ErrClosed), errors.Is(err, partitioned.ErrNotStarted):
		text = "the processor is shutting down, or was not started: nothing was accepted; send again later"
	case errors.Is(err, partitioned.ErrAbandoned):
		text = fmt.Sprintf("the caller gave up waiting for its result (wait_for_result is true): %s; what is being sent may still be delivered", s.ended(err))
	case errors.Is(err, partitioned.ErrWithdrawn):
		text = fmt.Sprintf("the caller gave up waiting for its result (wait_for_result is true): %s; nothing of it is sent", s.ended(err))
	case errors.Is(err, partitioned.ErrStalled):
		text = fmt.Sprintf("a part was dropped, as its key has stalled: nothing of the key was delivered for stalled_key_timeout, which is %v; see what its backend lacks", s.StallTimeout)
	case errors.Is(err, partitioned.ErrEvicted):
		text = fmt.Sprintf("dropped to make room for newer items, as drop_oldest_on_overflow is true: %s; raise it if this lasts", s.limits())
	case errors.Is(err, partitioned.ErrExpired):
		text = fmt.Sprintf("dropped, as it was older than max_age, which is %v, when its turn came to be sent", s.MaxAge)
	case errors.Is(err, partitioned.ErrDropped):
		text = fmt.Sprintf("dropped at shutdown: shutdown_timeout is %v; send again, and raise it if this lasts", s.ShutdownTimeout)
	case s.ended(err) != "":
		text = fmt.Sprintf("nothing accepted, the caller gave up waiting for capacity: %s; %s", s.ended(err), s.limits())
	case !strings.Contains(err.Error(), "partitioned: "):
		return err
	default:
		text = strings.ReplaceAll(err.Error(), "partitioned: ", "")
	}
	return &callerError{text, err}
}

// explainLoss returns the error of a Shutdown that left something.
func (s *Settings) explainLoss(err error) error {
	return &callerError{fmt.Sprintf("%s; shutdown_timeout is %v", strings.TrimPrefix(err.Error(), "partitioned: "), s.ShutdownTimeout), err}
}

// limits are the keys that decide when the queue is full.
func (s *Settings) limits() string {
	if s.KeyCapacity > 0 {
		return fmt.Sprintf("queue_size is %d %s, queue_size_per_key is %d", s.Capacity, s.sizer(), s.KeyCapacity)
	}
	return fmt.Sprintf("queue_size is %d %s", s.Capacity, s.sizer())
}

// ended returns why the wait of a caller ended; "": err does not say.
func (s *Settings) ended(err error) string {
	if errors.Is(err, errPatience) {
		return fmt.Sprintf("wait_timeout, which is %v, was over", s.WaitTimeout)
	}
	for _, ended := range []error{context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, ended) {
			return ended.Error()
		}
	}
	return ""
}
