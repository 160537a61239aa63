// Command plot draws the benchmark's ratios. It is a module of its own, so that Shoal's does not depend on the plotting
// library.
//
//	plot FILE.png <ratios.json
package main

import (
	"encoding/json"
	"fmt"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	shapes "gonum.org/v1/plot/vg/draw"
)

// A bar is a ratio, with what was the least and the most in any round, and its target, 0 if there is none.
type bar struct {
	Name              string
	Median, Low, High float64
	Target            float64
}

func main() {
	if err := draw(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func draw(file string) error {
	var bars []bar
	if err := json.NewDecoder(os.Stdin).Decode(&bars); err != nil {
		return err
	}
	p := plot.New()
	p.Title.Text = "How many times as much the others need, or Shoal does (log scale)"
	p.Title.TextStyle.Font.Size, p.Title.Padding = font.Length(12), vg.Points(8)
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	var medians, targets plotter.XYs
	spreads := plotter.XErrors{}
	var names []string
	for i := range bars {
		b := bars[len(bars)-1-i] // the first one on top
		medians = append(medians, plotter.XY{X: b.Median, Y: float64(i)})
		spreads = append(spreads, struct{ Low, High float64 }{b.Median - b.Low, b.High - b.Median})
		if b.Target > 0 {
			targets = append(targets, plotter.XY{X: b.Target, Y: float64(i)})
		}
		names = append(names, b.Name)
	}
	points, err := plotter.NewScatter(medians)
	if err != nil {
		return err
	}
	points.Color, points.Radius = color.RGBA{R: 20, G: 90, B: 160, A: 255}, vg.Points(4)
	lines, err := plotter.NewXErrorBars(struct {
		plotter.XYs
		plotter.XErrors
	}{medians, spreads})
	if err != nil {
		return err
	}
	wanted, err := plotter.NewScatter(targets)
	if err != nil {
		return err
	}
	wanted.Shape, wanted.Color = shapes.PyramidGlyph{}, color.RGBA{R: 190, G: 60, B: 40, A: 255}
	p.Add(plotter.NewGrid(), lines, wanted, points)
	p.Legend.Add("median, with the range of the rounds", points)
	p.Legend.Add("target", wanted)
	p.Legend.Top, p.Legend.Left = true, true
	p.Legend.XOffs = vg.Points(6)
	p.NominalY(names...)
	p.X.Min, p.X.Max = p.X.Min/1.5, p.X.Max*1.5 // so that no point lies on an edge
	return p.Save(vg.Length(9)*vg.Inch, vg.Length(1.2+0.28*float64(len(bars)))*vg.Inch, file)
}
