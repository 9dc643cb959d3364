// SPDX-License-Identifier: Apache-2.0

// Package picture draws the panels of a dashboard.
package picture

import (
	"fmt"
	"image/color"
	"math"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Panel is one of a picture's panels.
type Panel struct {
	Title  string
	Unit   string // as Grafana names it
	Series []Series
	Marks  []float64 // seconds at which something happened
}

// Series is one line of a panel.
type Series struct {
	Name   string
	Points plotter.XYs // X in seconds; a Y that is NaN is a gap
}

const (
	columns     = 3
	panelWidth  = 4 * vg.Inch
	panelHeight = 2.6 * vg.Inch
	padding     = 10
)

// Draw writes the panels to a PNG file, row by row.
func Draw(file string, panels []Panel) error {
	rows := (len(panels) + columns - 1) / columns
	plots := make([][]*plot.Plot, rows)
	for i, p := range panels {
		drawn, err := p.plot()
		if err != nil {
			return fmt.Errorf("%s: %w", p.Title, err)
		}
		plots[i/columns] = append(plots[i/columns], drawn)
	}
	plots[rows-1] = append(plots[rows-1], make([]*plot.Plot, columns-len(plots[rows-1]))...) // nil is left empty

	c := vgimg.New(columns*panelWidth, vg.Length(rows)*panelHeight)
	tiles := draw.Tiles{
		Rows: rows, Cols: columns, PadX: padding, PadY: padding,
		PadTop: padding, PadBottom: padding, PadLeft: padding, PadRight: padding,
	}
	for i, row := range plot.Align(plots, tiles, draw.New(c)) {
		for j, tile := range row {
			if plots[i][j] != nil {
				plots[i][j].Draw(tile)
			}
		}
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := (vgimg.PngCanvas{Canvas: c}).WriteTo(out); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

// units gives what Grafana writes for its units, and what a value is multiplied by.
var units = map[string]struct {
	label  string
	factor float64
}{
	"percentunit": {"%", 100},
	"s":           {"s", 1},
	"cps":         {"a second", 1},
	"Bps":         {"B/s", 1},
	"bytes":       {"B", 1},
	"short":       {"", 1},
}

func (p Panel) plot() (*plot.Plot, error) {
	unit, ok := units[p.Unit]
	if !ok {
		return nil, fmt.Errorf("unknown unit %q", p.Unit)
	}
	out := plot.New()
	out.Title.Text = p.Title
	out.X.Label.Text = "s"
	out.Y.Label.Text = unit.label
	out.Y.Min, out.Y.Max = 0, 1
	out.Legend.Top = true
	out.Legend.TextStyle.Font.Size = 7
	out.Add(plotter.NewGrid())
	lines := 0
	for _, s := range p.visible() {
		named := false
		for _, part := range s.parts(unit.factor) {
			line, err := plotter.NewLine(part)
			if err != nil {
				return nil, err
			}
			line.Color, line.Width = plotutil.Color(lines), 1.5
			out.Add(line)
			if !named {
				out.Legend.Add(s.Name, line)
				named = true
			}
		}
		if named {
			lines++
		}
	}
	out.X.Min = 0
	out.Y.Max *= 1 + 0.12*float64(lines) // the legend stands above the lines
	for _, x := range p.Marks {
		mark, err := plotter.NewLine(plotter.XYs{{X: x, Y: 0}, {X: x, Y: out.Y.Max}})
		if err != nil {
			return nil, err
		}
		mark.Color, mark.Dashes = color.Gray{Y: 128}, []vg.Length{3, 3}
		out.Add(mark)
	}
	return out, nil
}

// visible leaves out what is 0 all the time, unless that is all that there is.
func (p Panel) visible() (some []Series) {
	for _, s := range p.Series {
		if slices.ContainsFunc(s.Points, func(p plotter.XY) bool { return p.Y > 0 }) {
			some = append(some, s)
		}
	}
	if len(some) == 0 {
		return p.Series
	}
	return some
}

// parts are the runs of points between gaps, multiplied by factor.
func (s Series) parts(factor float64) (all []plotter.XYs) {
	var part plotter.XYs
	for _, p := range append(s.Points[:len(s.Points):len(s.Points)], plotter.XY{Y: math.NaN()}) {
		if !math.IsNaN(p.Y) && !math.IsInf(p.Y, 0) {
			part = append(part, plotter.XY{X: p.X, Y: p.Y * factor})
			continue
		}
		if len(part) > 0 {
			all = append(all, part)
		}
		part = nil
	}
	return all
}
