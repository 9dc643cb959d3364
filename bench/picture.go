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
	p := Picture{Title: "A request of 200 000 spans that is cut, " + name, X: "million spans a second"}
	for _, r := range reports {
		for _, v := range r.Variants {
			if r.Group == splitGroup && r.Name == name && !slices.Contains(p.Names, v.label()) {
				p.Names = append(p.Names, v.label())
			}
		}
	}
	for _, r := range reports {
		if r.Group != splitGroup || r.Name != name {
			continue
		}
		bars := Bars{Name: r.Param, Values: make([]float64, len(p.Names))} // 0: was not run
		for i, v := range r.Variants {
			bars.Values[slices.Index(p.Names, v.label())] = splitItems / median(r.Figures[i][0]) / 1000
		}
		p.Bars = append(p.Bars, bars)
	}
	return p
}
