// SPDX-License-Identifier: Apache-2.0

package keyexpressions

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.yaml.in/yaml/v3"
)

func readYAML(t *testing.T, file string) *confmap.Conf {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var all map[string]any
	require.NoError(t, yaml.Unmarshal(text, &all))
	return confmap.NewFromStringMap(all)
}

// The example does with each signal what its comments say.
func TestExample(t *testing.T) {
	section, err := readYAML(t, "../examples/key-expressions/config.yaml").Sub("processors::partitionedbuffer")
	require.NoError(t, err)
	t.Run("traces", func(t *testing.T) { exampleOf(t, spans, section.ToStringMap()) })
	t.Run("metrics", func(t *testing.T) { exampleOf(t, points, section.ToStringMap()) })
	t.Run("logs", func(t *testing.T) { exampleOf(t, records, section.ToStringMap()) })
}

func exampleOf[P any](t *testing.T, k kind[P], section map[string]any) {
	s, push, end := begin(t, k, section)
	n := 0
	push(context.Background(), k.payload([]string{"acme-checkout", "acme-shop", "umbrella"}, []string{"i", "j"}, func(resource, _, own pcommon.Map) {
		name, _ := resource.Get("resource")
		resource.PutStr("service.name", name.Str())
		resource.PutStr("deployment.environment", "production")
		if n++; n%2 == 0 {
			own.PutStr("deployment.environment", "test")
		}
	}))
	end()
	require.Equal(t, map[string]int64{"tenant": 0, "environment": 0}, s.failures(t))
	require.Equal(t, map[string][]string{
		`environment=["production"] tenant=["acme"]`: {"i", "i"}, `environment=["test"] tenant=["acme"]`: {"j", "j"},
		`environment=["production"] tenant=["umbrella"]`: {"i"}, `environment=["test"] tenant=["umbrella"]`: {"j"},
	}, s.items)
}

// A collector has one processor of this type: the module replaces that of the processor.
func TestExampleIsBuiltWithThisModule(t *testing.T) {
	var modules []string
	processors, _ := readYAML(t, "../builder-config-key-expressions.yaml").Get("processors").([]any)
	for _, p := range processors {
		module, _, _ := strings.Cut(p.(map[string]any)["gomod"].(string), " ")
		modules = append(modules, module)
	}
	require.Equal(t, []string{"github.com/partitionedbuffer/partitionedbufferprocessor/keyexpressions"}, modules)
}
