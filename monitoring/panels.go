// SPDX-License-Identifier: Apache-2.0

package main

import "strings"

// A row of the dashboard answers the question that is its title.
type row struct {
	title  string
	panels []panel
}

type panel struct {
	title, description string
	unit               string // Grafana's name of it
	queries            []query
}

// A query is PromQL in short: #name is a metric of the processor, and #name{matchers} has more matchers than those of the
// dashboard's variables.
type query struct{ legend, expr string }

const (
	prefix   = "otelcol_processor_partitionedbuffer_"
	matchers = `job=~"$job",processor=~"$processor",otel_signal=~"$otel_signal"`

	// pipeline names the series of one pipeline, summed over instances.
	pipeline = "{{processor}} {{otel_signal}}"
)

// promQL writes the query out.
func (q query) promQL() string {
	parts := strings.Split(q.expr, "#")
	for i, p := range parts[1:] {
		end := strings.IndexFunc(p, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') })
		if end < 0 {
			end = len(p)
		}
		name, rest := p[:end], p[end:]
		more := ""
		if strings.HasPrefix(rest, "{") {
			more, rest, _ = strings.Cut(rest[1:], "}")
			more = "," + more
		}
		parts[i+1] = prefix + name + "{" + matchers + more + "}" + rest
	}
	return strings.Join(parts, "")
}

// rate is the sum of a counter's rate over the instances of each pipeline.
func rate(metric string) string {
	return "sum by (processor, otel_signal) (rate(" + metric + "[$__rate_interval]))"
}

// rateBy is rate, apart for each value of the label.
func rateBy(label, metric string) string {
	return "sum by (processor, otel_signal, " + label + ") (rate(" + metric + "[$__rate_interval]))"
}

func highest(metric string) string { return "max by (processor, otel_signal) (" + metric + ")" }

func total(metric string) string { return "sum by (processor, otel_signal) (" + metric + ")" }

func quantile(q, histogram string) string {
	return "histogram_quantile(" + q + ", sum by (processor, otel_signal, le) (rate(" + histogram + "_bucket[$__rate_interval])))"
}

var rows = []row{
	{"Is it keeping up?", []panel{
		{
			"Fill", "What the fullest instance holds of its capacity. At 100 % callers wait or are refused.", "percentunit",
			[]query{{pipeline, highest("#queue_size / #queue_capacity")}},
		},
		{
			"Pending items", "Accepted and not settled yet, those in flight included.", "short",
			[]query{{pipeline, total("#items_pending")}},
		},
		{
			"Oldest pending item", "Its age, also while it is in flight. It grows for as long as nothing is forwarded.", "s",
			[]query{{pipeline, highest("#oldest_item_age")}},
		},
		{
			"Age of batches when sent", "Of the oldest item of each batch: half and 99 % of the batches are younger.", "s",
			[]query{
				{pipeline + " p50", quantile("0.5", "#batch_age")},
				{pipeline + " p99", quantile("0.99", "#batch_age")},
			},
		},
		{
			"Busy consumers", "Of all consumers. At 100 % for long, more of them would send more.", "percentunit",
			[]query{{pipeline, highest("#consumers_busy / #consumers")}},
		},
		{
			"Calls at once", "Those that run, and how many may: num_consumers, or with adaptive_concurrency what the backend bears.", "short",
			[]query{
				{pipeline + " run", total("#batches_in_flight")},
				{pipeline + " may", total("#consumers_limit")},
			},
		},
		{
			"Changes of the limit", "By reason, with adaptive_concurrency. Many that are refused or slow: the backend is at its limit.", "cps",
			[]query{{pipeline + " {{reason}}", rateBy("reason", "#consumers_limit_changes")}},
		},
		{
			"Callers that wait", "Now: Consume calls that wait for capacity. Average: seconds waited in each second, counted when a wait ends.", "short",
			[]query{
				{pipeline + " now", total("#callers_waiting")},
				{pipeline + " average", rate("#capacity_wait_time")},
			},
		},
	}},
	{"Is it losing anything?", []panel{
		{
			"Dropped", "Accepted and then given up. It should be nothing. Losses at shutdown only show if a scrape came after them.", "cps",
			[]query{{pipeline + " {{reason}}", rateBy("reason", "#items_dropped")}},
		},
		{
			"Refused", "Not accepted. The sender has the data and an error, mostly one that says to try again.", "cps",
			[]query{{pipeline + " {{reason}}", rateBy("reason", "#items_refused")}},
		},
		{
			"Failed calls", "Of the next consumer, by type of error.", "cps",
			[]query{{pipeline + " {{error_type}}", rateBy("error_type", "#send_failed_batches")}},
		},
		{
			"Items in failed calls", "Permanent: not to be sent again.", "cps",
			[]query{{pipeline + " permanent={{error_permanent}}", rateBy("error_permanent", "#send_failed_items")}},
		},
		{
			"Returned and sent again", "Returned: the caller that waited got the error. Retried: to be sent again, each time counted.", "cps",
			[]query{
				{pipeline + " returned", rate("#items_returned")},
				{pipeline + " retried", rate("#items_retried")},
			},
		},
		{
			"Oversized and bad items", "Oversized: larger than a batch may be, and sent all the same. A backend may refuse it. Rejected: the backend called it bad.", "cps",
			[]query{
				{pipeline + " oversized", rate("#items_oversized")},
				{pipeline + " rejected", rate("#items_rejected")},
			},
		},
	}},
	{"What is it sending?", []panel{
		{
			"Items", "A second. Superseded: replaced by a newer record, only with buffer: map.", "cps",
			[]query{
				{pipeline + " accepted", rate("#items_accepted")},
				{pipeline + " forwarded", rate("#items_forwarded")},
				{pipeline + " superseded", rate("#items_superseded")},
			},
		},
		{
			"Items in a batch", "Half and 95 % of the batches have fewer.", "short",
			[]query{
				{pipeline + " p50", quantile("0.5", "#batch_send_size")},
				{pipeline + " p95", quantile("0.95", "#batch_send_size")},
			},
		},
		{
			"Batches by trigger", "A second. Many that only the timeout sent are small ones: raise timeout, or lower send_batch_size.", "cps",
			[]query{
				{pipeline + " size", rate("#batch_size_trigger_send")},
				{pipeline + " timeout", rate("#timeout_trigger_send")},
			},
		},
		{
			"Duration of calls", "Of the next consumer: half and 99 % of the calls take less.", "s",
			[]query{
				{pipeline + " p50", quantile("0.5", "#send_duration")},
				{pipeline + " p99", quantile("0.99", "#send_duration")},
			},
		},
		{
			"Bytes", "Encoded, a second. Only with the collector's metrics on the detailed level.", "Bps",
			[]query{{pipeline, rate("#batch_send_size_bytes_sum")}},
		},
	}},
	{"What is in the storage?", []panel{
		{
			"Entries", "Requests, or parts of them with one key, that are stored. Without storage everything in this row is 0.", "short",
			[]query{{pipeline, total("#storage_entries")}},
		},
		{
			"Bytes in the storage", "Stored: of the entries. In memory too: at most memory_size, the rest is read back when its turn comes.", "bytes",
			[]query{
				{pipeline + " stored", total("#storage_bytes")},
				{pipeline + " in memory too", total("#storage_memory")},
			},
		},
		{
			"Oldest entry", "Its age since it was accepted, by this run or an earlier one.", "s",
			[]query{{pipeline, highest("#storage_oldest_entry_age")}},
		},
		{
			"Transactions", "That wrote, and the entries that they wrote. Many entries in one are what makes a storage fast.", "cps",
			[]query{
				{pipeline + " transactions", rate("#storage_transactions")},
				{pipeline + " entries", rate("#storage_requests")},
			},
		},
		{
			"Calls of the storage that failed", "It should be nothing. Callers get an error meanwhile, unless their data is delivered.", "cps",
			[]query{{pipeline, rate("#storage_errors")}},
		},
		{
			"Oldest call of the storage", "Since when a call has not ended. If it grows, the disk hangs, and callers wait.", "s",
			[]query{{pipeline, highest("#storage_oldest_call_age")}},
		},
		{
			"Kept and recovered", "Items, in all: kept by the last shutdown, and recovered by the start after it.", "short",
			[]query{
				{pipeline + " kept", total("#items_kept")},
				{pipeline + " recovered", total("#items_recovered")},
			},
		},
	}},
	{"Tenants", []panel{
		{
			"Keys", "Keys with something pending, and the limit. A limit of 0 means none.", "short",
			[]query{
				{pipeline, highest("#metadata_cardinality")},
				{pipeline + " limit", highest("#metadata_cardinality_limit")},
			},
		},
		{
			"Fill of the fullest key", "Of its share. At 100 % the callers of that key wait or are refused.", "percentunit",
			[]query{{pipeline, highest("#fullest_key_fill")}},
		},
		{
			"Items of full and stalled keys", "Refused, because their key is full or there are too many keys; dropped, because their key has stalled.", "cps",
			[]query{
				{pipeline + " refused, {{reason}}", rateBy("reason", `#items_refused{reason=~"key|keys"}`)},
				{pipeline + " dropped, stalled", rate(`#items_dropped{reason="stalled"}`)},
			},
		},
	}},
}
