// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/loopback"
)

// Spent says what a collector spends its CPU time on, in seconds for a million items.
type Spent struct {
	Case  Case
	Total float64
	On    map[string]float64 // by the names of Parts
}

// part is a piece of work that functions belong to.
type part struct {
	name string
	of   func(function string) bool
}

// parts are tried in this order, from the innermost function of a stack outwards; the first that matches has the sample.
// Garbage collection comes first whatever it interrupts.
var parts = []part{
	{"garbage collection", func(f string) bool {
		return strings.HasPrefix(f, "runtime.gc") || strings.HasPrefix(f, "runtime.bg")
	}},
	{"compression", func(f string) bool {
		return strings.HasPrefix(f, "compress/") || strings.Contains(f, "/compress/")
	}},
	{"encoding", func(f string) bool {
		return strings.Contains(f, "collector/pdata/") && (strings.Contains(f, "Marshal") || strings.Contains(f, "SizeProto"))
	}},
	{"processor", func(f string) bool {
		return strings.Contains(f, "/partitionedbufferprocessor") || strings.Contains(f, "/batchprocessor") ||
			strings.Contains(f, "exporterhelper/internal/queue")
	}},
	{"network and gRPC", func(f string) bool {
		return strings.HasPrefix(f, "google.golang.org/grpc") || strings.HasPrefix(f, "golang.org/x/net/") || strings.HasPrefix(f, "net.") ||
			strings.HasPrefix(f, "internal/poll.") || strings.HasPrefix(f, "syscall.")
	}},
}

const decoding, rest = "decoding", "the rest"

// Parts are the names of what is told apart.
func Parts() (names []string) {
	names = append(names, decoding)
	for _, p := range parts {
		names = append(names, p.name)
	}
	return append(names, rest)
}

// partOf returns what a stack belongs to, the innermost function first.
func partOf(stack []string) string {
	for _, f := range stack {
		if parts[0].of(f) {
			return parts[0].name
		}
	}
	for _, f := range stack {
		if strings.Contains(f, "collector/pdata/") && strings.Contains(f, "Unmarshal") {
			return decoding
		}
		for _, p := range parts[1:] {
			if p.of(f) {
				return p.name
			}
		}
	}
	return rest
}

// Profile looks at where the CPU time of a case goes, in a closed loop. It costs some time itself, so the sum is more than what Run measures.
func Profile(ctx context.Context, c Case, o Options) (s Spent, err error) {
	s = Spent{Case: c, On: map[string]float64{}}
	if c.debug, err = loopback.FreeAddr(); err != nil {
		return s, err
	}
	err = with(ctx, c, o, func(p *process, sink *sink, l *loader) error {
		l.closedLoop(ctx, o.Producers, o.Lasts/8) // warm
		if err := l.allArrived(ctx, sink); err != nil {
			return err
		}
		samples := make(chan error, 1)
		var taken *profile.Profile
		go func() {
			var err error
			taken, err = cpuProfile(ctx, c.debug, o.Lasts)
			samples <- err
		}()
		u, err := p.during(sink, func() error {
			l.closedLoop(ctx, o.Producers, o.Lasts)
			return l.allArrived(ctx, sink)
		})
		if err := cmp.Or(<-samples, err); err != nil {
			return err
		}
		s.Total = u.cpu.Seconds() * 1e6 / u.items
		s.divide(taken)
		return nil
	})
	return s, err
}

// divide divides the total as the samples are divided.
func (s *Spent) divide(p *profile.Profile) {
	var all int64
	count := map[string]int64{}
	for _, sample := range p.Sample {
		var stack []string
		for _, location := range sample.Location {
			for _, line := range location.Line {
				stack = append(stack, line.Function.Name)
			}
		}
		n := sample.Value[len(sample.Value)-1] // CPU time
		count[partOf(stack)] += n
		all += n
	}
	for name, n := range count {
		s.On[name] = s.Total * float64(n) / float64(max(all, 1))
	}
}

// cpuProfile returns what a process does in the time, of at least a second.
func cpuProfile(ctx context.Context, addr string, lasts time.Duration) (*profile.Profile, error) {
	page, err := debugPage(ctx, addr, fmt.Sprintf("profile?seconds=%d", max(1, int(lasts.Seconds()))))
	if err != nil {
		return nil, err
	}
	return profile.ParseData(page)
}

// debugPage returns a page that a process has of itself.
func debugPage(ctx context.Context, addr, name string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/debug/pprof/"+name, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Close = true // a connection that is kept is a descriptor of the process
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", req.URL, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// WriteSpent writes a Markdown table.
func WriteSpent(w io.Writer, all []Spent) {
	fmt.Fprint(w, "| | all |")
	for _, name := range Parts() {
		fmt.Fprintf(w, " %s |", name)
	}
	fmt.Fprintf(w, "\n|---|---|%s\n", strings.Repeat("---|", len(Parts())))
	for _, s := range all {
		fmt.Fprintf(w, "| %s | %s |", s.Case.Name, short(s.Total))
		for _, name := range Parts() {
			fmt.Fprintf(w, " %s |", short(s.On[name]))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}
