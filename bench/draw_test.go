// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"time"

	"pgregory.net/rapid"
)

// drawScript draws what differential_test.go may compare; see there for what it leaves out.
func drawScript(rt *rapid.T) script {
	wait := rapid.SampledFrom([]time.Duration{timeout, timeout, 0}).Draw(rt, "timeout")
	s := script{AtRest: rapid.Bool().Draw(rt, "at rest")}
	if rapid.Bool().Draw(rt, "slow consumer") {
		s.Delay = 10 * time.Millisecond
		if wait > 0 {
			wait = time.Hour
		}
	}
	size := rapid.SampledFrom([]int{0, 1, 2, 5, 10, 50}).Draw(rt, "size")
	limit := 0
	if rapid.Bool().Draw(rt, "capped") {
		limit = max(1, size+rapid.SampledFrom([]int{0, 1, 3, 20}).Draw(rt, "above the trigger"))
	}
	s.Settings = settings(wait, size, limit)
	for range rapid.IntRange(0, 12).Draw(rt, "calls") {
		st := step{Request: drawRequest(rt)}
		if s.Delay == 0 && rapid.IntRange(0, 3).Draw(rt, "pause") == 0 {
			// A millisecond each over a multiple of the timeout: with at most 12 calls their sum is never a multiple.
			st.Pause = time.Duration(rapid.IntRange(1, 3).Draw(rt, "timeouts"))*timeout + time.Millisecond
		}
		s.Steps = append(s.Steps, st)
	}
	return s
}

// drawRequest draws mostly small requests with empty parts in them, and now and then one far larger than any cap.
func drawRequest(rt *rapid.T) Request {
	if rapid.IntRange(0, 9).Draw(rt, "large") == 0 {
		return Flat(rapid.IntRange(100, 600).Draw(rt, "items"))
	}
	name := rapid.SampledFrom([]string{"", "a", "bb", "ccc"})
	var r Request
	for range rapid.IntRange(0, 3).Draw(rt, "resources") {
		res := Resource{Name: name.Draw(rt, "resource"), Schema: name.Draw(rt, "schema")}
		for range rapid.IntRange(0, 3).Draw(rt, "scopes") {
			res.Scopes = append(res.Scopes, Scope{
				Name:    name.Draw(rt, "scope"),
				Version: name.Draw(rt, "version"),
				Schema:  name.Draw(rt, "scope schema"),
				Groups:  rapid.SliceOfN(rapid.IntRange(0, 6), 0, 6).Draw(rt, "groups"),
			})
		}
		r.Resources = append(r.Resources, res)
	}
	return r
}
