// SPDX-License-Identifier: Apache-2.0

package proof

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// Each item says when it was sent and which one it is, in two fields of eight bytes each. In a template these hold the two marks.
const (
	sentMark pcommon.Timestamp = 0x1d6b_c397_5e8a_f421
	idMark   pcommon.Timestamp = 0x2b94_7ad1_c05f_e863
)

// template is an encoded request in which the marks stand for the time and the ID of each item.
type template struct {
	encoded   []byte
	sent, ids []int // offsets of the marks
}

// newTemplate makes a request of items of one resource.
func newTemplate(s Signal, resource, items int) (*template, error) {
	encoded, err := builders[s](resource, items)
	if err != nil {
		return nil, err
	}
	t := &template{encoded: encoded, sent: offsets(encoded, sentMark), ids: offsets(encoded, idMark)}
	if len(t.sent) != items || len(t.ids) != items {
		return nil, fmt.Errorf("%d times and %d IDs in a request of %d items", len(t.sent), len(t.ids), items)
	}
	return t, nil
}

func offsets(encoded []byte, mark pcommon.Timestamp) (all []int) {
	text := binary.LittleEndian.AppendUint64(nil, uint64(mark))
	for at := 0; ; {
		next := bytes.Index(encoded[at:], text)
		if next < 0 {
			return all
		}
		all = append(all, at+next)
		at += next + len(text)
	}
}

// request returns the template for items whose IDs begin with first. It is encoded already, so that sending costs little.
func (t *template) request(first uint64, sent time.Time) []byte {
	r := bytes.Clone(t.encoded)
	for i, at := range t.sent {
		binary.LittleEndian.PutUint64(r[at:], uint64(sent.UnixNano()))
		binary.LittleEndian.PutUint64(r[t.ids[i]:], first+uint64(i)+1)
	}
	return r
}

var builders = map[Signal]func(resource, items int) ([]byte, error){
	Traces: func(resource, items int) ([]byte, error) {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		putResource(rs.Resource().Attributes(), resource)
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("io.opentelemetry.contrib.http")
		for i := range items {
			s := ss.Spans().AppendEmpty()
			s.SetName("GET /api/v1/orders/{id}")
			s.SetKind(ptrace.SpanKindServer)
			s.SetTraceID(pcommon.TraceID{1, byte(resource), byte(i >> 8), byte(i), 7, 113, 19, 42})
			s.SetSpanID(pcommon.SpanID{2, byte(resource), byte(i >> 8), byte(i)})
			s.SetStartTimestamp(sentMark)
			s.SetEndTimestamp(idMark)
			putRecord(s.Attributes(), i)
		}
		return ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	},
	Metrics: func(resource, items int) ([]byte, error) {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		putResource(rm.Resource().Attributes(), resource)
		sm := rm.ScopeMetrics().AppendEmpty()
		sm.Scope().SetName("io.opentelemetry.contrib.http")
		for i := range items {
			m := sm.Metrics().AppendEmpty()
			m.SetName(fmt.Sprintf("http.server.request.duration.%d", i%20))
			m.SetUnit("s")
			p := m.SetEmptyGauge().DataPoints().AppendEmpty()
			p.SetStartTimestamp(sentMark)
			p.SetTimestamp(idMark)
			p.SetDoubleValue(float64(i) / 7)
			putRecord(p.Attributes(), i)
		}
		return pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	},
	Logs: func(resource, items int) ([]byte, error) {
		ld := plog.NewLogs()
		rl := ld.ResourceLogs().AppendEmpty()
		putResource(rl.Resource().Attributes(), resource)
		sl := rl.ScopeLogs().AppendEmpty()
		sl.Scope().SetName("io.opentelemetry.contrib.http")
		for i := range items {
			r := sl.LogRecords().AppendEmpty()
			r.SetTimestamp(sentMark)
			r.SetObservedTimestamp(idMark)
			r.SetSeverityNumber(plog.SeverityNumberInfo)
			r.Body().SetStr(fmt.Sprintf("order %d was accepted after %d ms, 3 items, payment by card", i*7919, i%97))
			putRecord(r.Attributes(), i)
		}
		return plogotlp.NewExportRequestFromLogs(ld).MarshalProto()
	},
}

// putResource puts the twelve attributes that an SDK and a Kubernetes processor give a resource.
func putResource(m pcommon.Map, resource int) {
	for _, a := range [][2]string{
		{"service.name", fmt.Sprintf("checkout-%d", resource%50)},
		{"service.version", "1.27.3"},
		{"service.namespace", "shop"},
		{"service.instance.id", fmt.Sprintf("627cc493-f310-47de-96bd-%012d", resource)},
		{"deployment.environment.name", "production"},
		{"telemetry.sdk.name", "opentelemetry"},
		{"telemetry.sdk.language", "go"},
		{"telemetry.sdk.version", "1.38.0"},
		{"k8s.namespace.name", "shop"},
		{"k8s.pod.name", fmt.Sprintf("checkout-5d9f7b6c4-%05d", resource)},
		{"k8s.node.name", fmt.Sprintf("ip-10-0-%d-%d.ec2.internal", resource%7, resource%200)},
		{"host.name", fmt.Sprintf("checkout-5d9f7b6c4-%05d", resource)},
	} {
		m.PutStr(a[0], a[1])
	}
}

// putRecord puts the six to ten attributes of an HTTP server's span, point or record.
func putRecord(m pcommon.Map, item int) {
	m.PutStr("http.request.method", "GET")
	m.PutStr("url.path", fmt.Sprintf("/api/v1/orders/%d", 100_000+item*7919%900_000))
	m.PutStr("url.scheme", "https")
	m.PutStr("server.address", "checkout.shop.svc.cluster.local")
	m.PutInt("http.response.status_code", 200)
	m.PutStr("user_agent.original", "okhttp/4.12.0")
	for i := range item % 5 {
		m.PutInt(fmt.Sprintf("app.measure.%d", i), int64(item*i))
	}
}
