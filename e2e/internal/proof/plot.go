// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"fmt"
	"image/color"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	_ "gonum.org/v1/plot/vg/vgsvg" // the format
)

// plain is a name without its Markdown.
func plain(name string) string { return strings.NewReplacer("`", "", "*", "").Replace(name) }

// Bars is a group of bars, one for each of what is compared.
type Bars struct {
	Name   string
	Values []float64
}

// BarsOf are one measure of the cases of a load. names are theirs.
func BarsOf(load string, cases []Rounds, measure func(Result) float64) (b Bars, names []string) {
	b.Name = load
	for _, r := range cases {
		b.Values, names = append(b.Values, r.Median(measure)), append(names, r.Case.Name)
	}
	return b, names
}

// DrawBars writes a picture of groups of bars, in which each of names has one.
func DrawBars(file, title, unit string, names []string, groups []Bars) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.X.Min = title, unit, 0
	p.Add(plotter.NewGrid())
	const width = vg.Length(10)
	upwards := make([]string, len(names)) // the first on top
	for j, name := range names {
		upwards[len(names)-1-j] = plain(name)
	}
	for i, group := range groups {
		values := make(plotter.Values, len(group.Values))
		for j, v := range group.Values {
			values[len(values)-1-j] = v
		}
		bars, err := plotter.NewBarChart(values, width)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		bars.Horizontal, bars.Color, bars.LineStyle.Width = true, plotutil.Color(i), 0
		bars.Offset = width * (vg.Length(len(groups)-1)/2 - vg.Length(i))
		p.Add(bars)
		p.Legend.Add(group.Name, bars)
	}
	p.X.Max *= 1.4 // beside which the legend stands
	p.Legend.Top = true
	p.NominalY(upwards...)
	return p.Save(8*vg.Inch, 4.5*vg.Inch, file)
}

// Line is a variant over what varies.
type Line struct {
	Name   string
	Points plotter.XYs
}

// DrawLines writes a picture of lines. With least above 0 the axis is logarithmic, and a point at 0 stands there.
func DrawLines(file, title, x, y string, least float64, lines []Line) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text, p.Y.Min = title, x, y, 0
	if least > 0 {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	p.Add(plotter.NewGrid())
	for i, l := range lines {
		points := make(plotter.XYs, len(l.Points))
		for j, at := range l.Points {
			points[j] = plotter.XY{X: max(at.X, least), Y: at.Y}
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		line.Color, dots.Color, dots.Shape = plotutil.Color(i), plotutil.Color(i), draw.CircleGlyph{}
		p.Add(line, dots)
		p.Legend.Add(plain(l.Name), line, dots)
	}
	p.Legend.Top, p.Legend.Left = true, true
	p.BackgroundColor = color.White
	return p.Save(8*vg.Inch, 4*vg.Inch, file)
}
