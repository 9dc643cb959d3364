// SPDX-License-Identifier: Apache-2.0

// Command adaptive runs adaptive_concurrency in real time against a backend on the loopback interface: one whose room for calls changes, one
// that refuses some calls for nothing, one with a heavy tail, and one that two processors share. It prints what was delivered and refused as
// Markdown tables, and draws the limits over time. Run it from the e2e folder of a checkout:
//
//	go run ./cmd/adaptive -picture ../docs/adaptive-concurrency.svg
//
// It takes six minutes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gonum.org/v1/plot/plotter"

	"github.com/partitionedbuffer/partitionedbufferprocessor/e2e/internal/proof"
	"github.com/partitionedbuffer/partitionedbufferprocessor/internal/backendtest"
)

const (
	most    = 64 // calls at once
	phase   = 20 * time.Second
	settled = 15 * time.Second // of it; what comes then is measured
	steady  = 16               // room of a backend that has the same all the time
	sampled = 500 * time.Millisecond
)

func main() {
	picture := flag.String("picture", "", "file for the picture; that of the shared backend stands beside it")
	flag.Parse()
	if err := run(*picture); err != nil {
		fmt.Fprintln(os.Stderr, "adaptive:", err)
		os.Exit(1)
	}
}

func run(picture string) error {
	rooms := []int{4, 32, 8, 1, 16}
	adaptive, err := measure(rooms, true, nil)
	if err != nil {
		return err
	}
	fixed, err := measure(rooms, false, nil)
	if err != nil {
		return err
	}
	fmt.Printf("| room | delivered, of the most that it can take | refusals a second | a fixed %d delivers | and has refused |\n|---:|---:|---:|---:|---:|\n", most)
	for i, a := range adaptive.phases {
		f := fixed.phases[i]
		fmt.Printf("| %d | %.2f | %.1f | %.2f | %.1f |\n", rooms[i], a.delivered, a.refused, f.delivered, f.refused)
	}
	if err := runSteady(); err != nil {
		return err
	}
	shared, err := share()
	if err != nil {
		return err
	}
	fmt.Printf("\nOf a backend with room for %d, two processors, the second %v late: the late one has %.2f of %.2f of the most, and %.1f calls a second are refused.\n",
		steady, phase, shared.late, shared.outcome.delivered, shared.outcome.refused)
	if picture == "" {
		return nil
	}
	if err := proof.DrawLines(picture, "Calls at once", "seconds", "calls", 0,
		[]proof.Line{{Name: "room of the backend", Points: adaptive.room}, {Name: "limit", Points: adaptive.limit}}); err != nil {
		return err
	}
	beside := strings.TrimSuffix(picture, filepath.Ext(picture)) + "-shared" + filepath.Ext(picture)
	return proof.DrawLines(beside, "Calls at once of two processors that share a backend", "seconds", "calls", 0,
		[]proof.Line{{Name: "limit of the first", Points: shared.limits[0]}, {Name: "limit of the late one", Points: shared.limits[1]}})
}

// backends are those that have the same room all the time.
var backends = []struct {
	name string
	set  func(*backendtest.Backend)
}{
	{"that refuses 1 % for nothing", func(b *backendtest.Backend) { b.Errors = 0.01 }},
	{"of which one call in fifty takes ten times as long", func(b *backendtest.Backend) {
		b.Work = func(rng *rand.Rand) time.Duration { // 40 ms on average
			if rng.IntN(50) == 0 {
				return 340 * time.Millisecond
			}
			return 33_880 * time.Microsecond
		}
	}},
}

// runSteady measures each of backends, and prints that.
func runSteady() error {
	fmt.Printf("\n| a backend with room for %d | delivered, of the most that it can take | refusals a second | a fixed %d delivers | and has refused |\n|---|---:|---:|---:|---:|\n", steady, most)
	for _, of := range backends {
		var seen [2]outcome
		for i, adaptive := range []bool{true, false} {
			c, err := measure([]int{steady}, adaptive, of.set)
			if err != nil {
				return err
			}
			seen[i] = c.phases[0]
		}
		fmt.Printf("| %s | %.2f | %.1f | %.2f | %.1f |\n", of.name, seen[0].delivered, seen[0].refused, seen[1].delivered, seen[1].refused)
	}
	return nil
}

// sharing is what was seen of a backend that two share.
type sharing struct {
	outcome outcome // of both
	late    float64 // part of what was delivered that is the second one's
	limits  [2]plotter.XYs
}

// share runs two processors against one backend, the second of which begins a phase later, and measures the last phase of three.
func share() (c sharing, err error) {
	b := backendtest.New(1, steady)
	s, err := serve(b)
	if err != nil {
		return c, err
	}
	defer s.close()
	var all []*pipeline
	defer func() {
		for _, p := range all {
			err = errors.Join(err, p.stop())
		}
	}()
	begin := time.Now()
	var before [2]int64
	var refused int
	for at := time.Duration(0); at < 3*phase; at += sampled {
		if n := len(all); n < 2 && at == time.Duration(n)*phase {
			p, err := start(s, true)
			if err != nil {
				return c, err
			}
			all = append(all, p)
		}
		if at == 2*phase {
			before = [2]int64{all[0].taken.Load(), all[1].taken.Load()}
			_, refused = b.Counts()
		}
		for i, p := range all {
			c.limits[i] = append(c.limits[i], plotter.XY{X: time.Since(begin).Seconds(), Y: float64(p.limit())})
		}
		time.Sleep(sampled)
	}
	first, late := float64(all[0].taken.Load()-before[0]), float64(all[1].taken.Load()-before[1])
	_, refusedNow := b.Counts()
	c.late = late / (first + late)
	c.outcome = outcome{delivered: (first + late) / mostTaken(steady, phase), refused: float64(refusedNow-refused) / phase.Seconds()}
	return c, nil
}

// mostTaken is how many calls a backend with this room takes in d, if it is never idle.
func mostTaken(room int, d time.Duration) float64 {
	return float64(room) * d.Seconds() / backendtest.MeanWork.Seconds()
}

// course is what was seen in a run.
type course struct {
	phases      []outcome
	room, limit plotter.XYs
}

// outcome is what became of a phase: delivered as a part of what the backend can take; refused a second.
type outcome struct{ delivered, refused float64 }

// measure runs a sender that never stops against a backend with these rooms, one after the other. set may be nil.
func measure(rooms []int, adaptive bool, set func(*backendtest.Backend)) (c course, err error) {
	b := backendtest.New(1, rooms[0])
	if set != nil {
		set(b)
	}
	s, err := serve(b)
	if err != nil {
		return c, err
	}
	defer s.close()
	p, err := start(s, adaptive)
	if err != nil {
		return c, err
	}
	begin := time.Now()
	for _, room := range rooms {
		b.SetCapacity(room)
		_, refused := b.Counts()
		var taken int
		for at := time.Duration(0); at < phase; at += sampled {
			if at == settled {
				taken, _ = b.Counts()
			}
			now := time.Since(begin).Seconds()
			c.room = append(c.room, plotter.XY{X: now, Y: float64(room)})
			c.limit = append(c.limit, plotter.XY{X: now, Y: float64(p.limit())})
			time.Sleep(sampled)
		}
		takenNow, refusedNow := b.Counts()
		c.phases = append(c.phases, outcome{
			delivered: float64(takenNow-taken) / mostTaken(room, phase-settled),
			refused:   float64(refusedNow-refused) / phase.Seconds(),
		})
	}
	return c, p.stop()
}
