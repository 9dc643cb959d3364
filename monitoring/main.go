// SPDX-License-Identifier: Apache-2.0

// Command monitoring writes the Grafana dashboard, dashboard.json, to its standard output.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	text, err := dashboardJSON()
	if err == nil {
		_, err = os.Stdout.Write(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "monitoring:", err)
		os.Exit(1)
	}
}

// dashboardJSON is the dashboard of rows, as Grafana imports it.
func dashboardJSON() ([]byte, error) {
	//nolint:staticcheck // "deprecated" for a format that only the newest Grafana imports
	b := dashboard.NewDashboardBuilder("OpenTelemetry Collector: partitionedbuffer").
		Uid("partitionedbuffer").
		Description("Is it keeping up, is it losing anything, what is it sending, and which tenants hold it up.").
		Tags([]string{"opentelemetry", "collector", "partitionedbuffer"}).
		Timezone("browser").
		Time("now-3h", "now").
		Refresh("1m").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		WithVariable(labelVariable("job", "Job", "")).
		WithVariable(labelVariable("processor", "Processor", `job=~"$job"`)).
		WithVariable(labelVariable("otel_signal", "Signal", `job=~"$job",processor=~"$processor"`))
	id := uint32(0)
	next := func() uint32 { id++; return id }
	for _, r := range rows {
		b.WithRow(dashboard.NewRowBuilder(r.title).Id(next()))
		for _, p := range r.panels {
			b.WithPanel(p.builder().Id(next()))
		}
	}
	d, err := b.Build()
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(d, "", "  ")
	return append(text, '\n'), err
}

// labelVariable offers the values that the label has, in the series that selector leaves.
func labelVariable(label, name, selector string) *dashboard.QueryVariableBuilder {
	query := fmt.Sprintf("label_values(%squeue_capacity{%s}, %s)", prefix, selector, label)
	return dashboard.NewQueryVariableBuilder(label).
		Label(name).
		Datasource(datasource).
		Query(dashboard.StringOrMap{String: &query}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
		Sort(dashboard.VariableSortAlphabeticalAsc).
		Multi(true).
		IncludeAll(true).
		AllValue(".*") // also for collectors that have no such label
}

var datasource = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

// builder is the panel as Grafana's library wants it; three panels stand side by side.
func (p panel) builder() *timeseries.PanelBuilder {
	b := timeseries.NewPanelBuilder().
		Title(p.title).
		Description(p.description).
		Datasource(datasource).
		Span(8).
		Height(8).
		Unit(p.unit).
		Min(0).
		FillOpacity(10).
		ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().
			DisplayMode(common.LegendDisplayModeList).
			Placement(common.LegendPlacementBottom).
			ShowLegend(true)).
		Tooltip(common.NewVizTooltipOptionsBuilder().
			Mode(common.TooltipDisplayModeMulti).
			Sort(common.SortOrderDescending))
	for i, q := range p.queries {
		b.WithTarget(prometheus.NewDataqueryBuilder().
			RefId(string(rune('A' + i))).
			Datasource(datasource).
			Expr(q.promQL()).
			LegendFormat(q.legend).
			Range())
	}
	return b
}
