// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// Held measures the memory of a case while so many items are pending, the same number for every case: the backend answers none of its calls
// meanwhile, and senders do not wait for the answer to one request before they send the next. What a collector does not buffer is in callers
// that it lets wait, and takes memory too.
func Held(ctx context.Context, c Case, o Options, items int) (r Result, err error) {
	err = with(ctx, c, o, func(p *process, s *sink, l *loader) error {
		l.closedLoop(ctx, o.Producers, o.Lasts/8) // warm
		if err := l.allArrived(ctx, s); err != nil {
			return err
		}
		release := s.hold()
		wait := l.sendAtOnce(ctx, items)
		held, err := p.settledMemory(ctx)
		release()
		wait()
		if err != nil {
			return err
		}
		if err := l.allArrived(ctx, s); err != nil {
			return err
		}
		peak, err := peakMemory(p.PID())
		// Linux may know of less at most than now: it adds up per processor, not exactly.
		r.Held, r.HeldPeak = float64(held)/(1<<20), float64(max(peak, held))/(1<<20)
		r.Pending = float64(l.encoded()) / float64(l.items) * float64(items) / (1 << 20)
		r.count(s, l)
		return err
	})
	return r, err
}

// sendAtOnce sends so many items, all requests at the same time. wait returns when all are answered.
func (l *loader) sendAtOnce(ctx context.Context, items int) (wait func()) {
	var wg sync.WaitGroup
	for range items / l.items {
		wg.Go(func() { l.send(ctx, time.Now()) })
	}
	return wg.Wait
}

// encoded is how many bytes a request has.
func (l *loader) encoded() int { return len(l.templates[0].request(0, time.Now())) }

// settledMemory returns the resident memory of p once it has not grown for half a second, in which every timeout is over.
func (p *process) settledMemory(ctx context.Context) (most int, err error) {
	for calm := 0; calm < 5; {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		now, err := residentMemory(p.PID())
		if err != nil {
			return 0, err
		}
		calm++
		if now > most+most/100 {
			most, calm = now, 0
		}
	}
	return most, nil
}

// mostMemory is the aim: of what the reference takes with as many items pending.
const mostMemory = 1.1

// WriteHeld writes the memory with as many items pending, beside that of the variant called reference, and says who has more than is aimed at.
func WriteHeld(w io.Writer, cases []Rounds, reference string) {
	while, peak := func(r Result) float64 { return r.Held }, func(r Result) float64 { return r.HeldPeak }
	var of *Rounds
	for i := range cases {
		if cases[i].Case.Name == reference {
			of = &cases[i]
		}
	}
	fmt.Fprintf(w, "| | RSS while they are pending, MiB | of %s | most until they are delivered, MiB | of %s |\n|---|---|---|---|---|\n", reference, reference)
	var more []string
	for _, r := range cases {
		parts := [2]string{"", ""}
		for i, measure := range []func(Result) float64{while, peak} {
			if of == nil {
				continue
			}
			part := r.Median(measure) / of.Median(measure)
			parts[i] = fmt.Sprintf("%.2f", part)
			if i == 1 && part > mostMemory {
				more = append(more, r.Case.Name)
			}
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", r.Case.Name, r.cell(while), parts[0], r.cell(peak), parts[1])
	}
	fmt.Fprintln(w)
	for i, name := range more {
		if i == 0 {
			fmt.Fprintf(w, "More than %.1f of %s, which is the aim:\n\n", mostMemory, reference)
		}
		fmt.Fprintf(w, "- %s\n", name)
	}
	if len(more) > 0 {
		fmt.Fprintln(w)
	}
}
