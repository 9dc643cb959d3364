// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Picture is lines, or a group of bars for each name. The module e2e has what draws: a plotting library is no business of benchmarks.
type Picture struct {
	Title, X, Y string
	Lines       []Line
	Names       []string // of what each group of bars has one for
	Bars        []Bars
}

// Line is a line of a Picture.
type Line struct {
	Name   string
	Points []Point
}

// Point is a point of a Line.
type Point struct{ X, Y float64 }

// Bars is a group of bars, one for each name of the Picture.
type Bars struct {
	Name   string
	Values []float64
}

// Draw writes the picture to a file. The current folder is bench.
func (p Picture) Draw(file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	spec, err := json.Marshal(p)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "run", "./cmd/draw", "-o", file)
	cmd.Dir, cmd.Stdin, cmd.Stderr = filepath.Join("..", "e2e"), bytes.NewReader(spec), os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	return nil
}

// SplitPicture shows how fast the cases of the group Split with one name cut, in millions of spans a second.
func SplitPicture(name string, reports []*Report) Picture {
	reports = only(reports, func(r *Report) bool { return r.Group == splitGroup && r.Name == name })
	p := bars(reports, func(r *Report) string { return r.Param }, func(r *Report, variant int) float64 {
		return splitItems / median(r.Figures[variant][0]) / 1000
	})
	p.Title, p.X = "A request of 200 000 spans that is cut, "+name, "million spans a second"
	return p
}

// StoredPicture shows how much of the group Stored is delivered, in thousands of requests a second.
func StoredPicture(reports []*Report) Picture {
	reports = only(reports, func(r *Report) bool { return r.Group == storedGroup })
	p := bars(reports, func(r *Report) string { return r.Name + " " + r.Param }, func(r *Report, variant int) float64 {
		return median(r.Figures[variant][1]) / 1000
	})
	p.Title, p.X = "Stored and delivered, with file_storage", "thousand requests of 10 spans a second"
	return p
}

func only(reports []*Report, is func(*Report) bool) (some []*Report) {
	for _, r := range reports {
		if is(r) {
			some = append(some, r)
		}
	}
	return some
}

// bars has a group of bars for each report, with one for each of the variants of all reports. 0: it was not run.
func bars(reports []*Report, name func(*Report) string, value func(r *Report, variant int) float64) (p Picture) {
	for _, r := range reports {
		for _, v := range r.Variants {
			if !slices.Contains(p.Names, v.label()) {
				p.Names = append(p.Names, v.label())
			}
		}
	}
	for _, r := range reports {
		group := Bars{Name: name(r), Values: make([]float64, len(p.Names))}
		for i, v := range r.Variants {
			group.Values[slices.Index(p.Names, v.label())] = value(r, i)
		}
		p.Bars = append(p.Bars, group)
	}
	return p
}
