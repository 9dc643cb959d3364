// SPDX-License-Identifier: Apache-2.0

package partitioned

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// TestNotStartedIsNotClosed: before Start and after Shutdown are two errors.
func TestNotStartedIsNotClosed(t *testing.T) {
	q, err := NewUnstarted(QueueConfig[int]{Process: Plain(func(context.Context, []int) error { return nil })})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Push(bg, 1); !errors.Is(err, ErrNotStarted) {
		t.Errorf("before Start: %v", err)
	}
	if err := q.Shutdown(bg); err != nil {
		t.Error(err)
	}
	if err := q.Push(bg, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("after Shutdown: %v", err)
	}
	if st := q.Stats(); st.RefusedBy.Closed != 2 {
		t.Errorf("%+v", st)
	}
}

// TestZeroValuesAnswer: a Queue and a Map that nobody made refuse, and do not panic.
func TestZeroValuesAnswer(t *testing.T) {
	var q Queue[int]
	var m Map[string, int]
	_, result := q.PushResult(bg, 1)
	for name, err := range map[string]error{
		"Start": q.Start(), "Push": q.Push(bg, 1), "TryPush": q.TryPush(1), "PushKey": q.PushKey(bg, "", 1), "PushWait": q.PushWait(bg, 1),
		"PushResult": result, "Update": q.Update(Change{}),
		"Map.Start": m.Start(), "Map.Put": m.Put(bg, "", 1), "Map.PutNewer": m.PutNewer(bg, "", 1, 1), "Map.Update": m.Update(Change{}),
	} {
		if !errors.Is(err, errZero) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := errors.Join(q.Flush(bg), q.Shutdown(bg), m.Flush(bg), m.Shutdown(bg)); err != nil {
		t.Error(err)
	}
	if _, ok := m.Get(""); ok || m.Delete("") || q.Stats().Accepted+m.Stats().Accepted != 0 {
		t.Error("something is there")
	}
}

func TestUnknownReasonHasAName(t *testing.T) {
	for r, want := range map[Reason]string{-1: "Reason(-1)", ReasonShutdown: "shutdown", ReasonShutdown + 1: "Reason(5)"} {
		if got := r.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestTryPushDoesNotWait, though the queue is one that waits.
func TestTryPushDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		q := start(t, QueueConfig[int]{Process: Plain(func(context.Context, []int) error { <-hold; return nil }), Capacity: 2})
		if err := errors.Join(q.TryPush(1), q.TryPush(2)); err != nil {
			t.Error(err)
		}
		if err := q.TryPush(3); !errors.Is(err, ErrFull) {
			t.Errorf("full: %v", err)
		}
		if st := q.Stats(); st.RefusedBy.Full != 1 || st.Accepted != 2 {
			t.Errorf("%+v", st)
		}
		close(hold)
		q.Shutdown(bg)
		nothingLeft(t, q)
	})
}

// TestTake gets what is held, once, and it is not processed.
func TestTake(t *testing.T) {
	r := &mapRecorder{}
	m := startMap(t, one(r))
	m.Put(bg, "a", 1)
	m.Put(bg, "b", 2)
	if v, ok := m.Take("a"); v != 1 || !ok {
		t.Errorf("%d, %v", v, ok)
	}
	if v, ok := m.Take("a"); v != 0 || ok {
		t.Errorf("again: %d, %v", v, ok)
	}
	m.Shutdown(bg)
	if st := m.Stats(); st.Superseded != 1 || st.Forwarded != 1 {
		t.Errorf("%+v", st)
	}
}
