// SPDX-License-Identifier: Apache-2.0

package partitionedbufferprocessor

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// moment is a row of the README's timeline.
type moment struct {
	at   time.Duration
	in   int
	outs []int
}

// The README's timeline is what happens.
func TestTimelineOfReadme(t *testing.T) {
	moments := readTimeline(t)
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		outs := map[time.Duration][]int{}
		p := anyLogs.start(t, func(c *Config) {
			c.Timeout, c.SendBatchSize, c.SendBatchMaxSize = 200*ms, 100, 120
		}, func(_ context.Context, items int) error {
			at := time.Since(begin)
			outs[at] = append(outs[at], items)
			if at >= 600*ms {
				time.Sleep(time.Second)
			}
			return nil
		})
		first := 0
		for _, m := range moments {
			time.Sleep(m.at - time.Since(begin))
			if m.in > 0 {
				require.NoError(t, p.push(context.Background(), first, m.in))
				first += m.in
			}
		}
		require.NoError(t, p.Shutdown(context.Background()))
		want := map[time.Duration][]int{}
		for _, m := range moments {
			if len(m.outs) > 0 {
				want[m.at] = m.outs
			}
		}
		require.Equal(t, want, outs)
	})
}

func readTimeline(t *testing.T) (moments []moment) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) ms \|([^|]*)\|([^|]*)\|`).FindAllStringSubmatch(string(readme), -1) {
		number := func(s string) int {
			n, err := strconv.Atoi(strings.TrimSpace(s))
			require.NoError(t, err)
			return n
		}
		m := moment{at: time.Duration(number(row[1])) * ms}
		if in, some := strings.CutSuffix(strings.TrimSpace(row[2]), " items"); some {
			m.in = number(in)
		}
		if out := strings.TrimSpace(row[3]); out != "" {
			for _, n := range strings.Split(out, ",") {
				m.outs = append(m.outs, number(n))
			}
		}
		moments = append(moments, m)
	}
	require.Len(t, moments, 11)
	return moments
}
