// SPDX-License-Identifier: Apache-2.0

package partitioned

import "context"

// processOf is the key of a value that the contexts of all calls of a queue's Process have, and what is derived from them.
type processOf[T any] struct{ queue *Queue[T] }

// inProcess reports whether ctx is that of a call of q's own Process. Whoever waits for q there may wait for itself. A context is
// the one thing that follows a call through goroutines and other packages, so who does not pass it on is not seen.
func (q *Queue[T]) inProcess(ctx context.Context) bool { return ctx.Value(processOf[T]{q}) != nil }
