// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"errors"

	"go.opentelemetry.io/collector/consumer/consumererror/xconsumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
	"go.opentelemetry.io/collector/pdata/xpdata/pref"
)

// Profiles is the [Signal] whose items are samples. Profiles differ in that their parts refer by index to the tables of
// one dictionary a payload, in which index 0 stands for "none".
type Profiles struct{}

var _ Signal[pprofile.Profiles] = Profiles{}

// Items counts samples. A profile without samples, which may have an original payload that nobody parsed, is one item too.
func (Profiles) Items(p pprofile.Profiles) int { return profilesTree.items(p) }

// Size implements [Signal].
func (Profiles) Size(p pprofile.Profiles) int {
	var m pprofile.ProtoMarshaler
	return m.ProfilesSize(p)
}

// Marshal implements [Signal]. It encodes a copy, as the encoder turns keys and texts of what it gets into references.
func (Profiles) Marshal(b []byte, p pprofile.Profiles) ([]byte, error) {
	own := pprofile.NewProfiles()
	p.CopyTo(own)
	var m pprofile.ProtoMarshaler
	encoded, err := m.MarshalProfiles(own)
	return append(b, encoded...), err
}

// Unmarshal implements [Signal].
func (Profiles) Unmarshal(b []byte) (pprofile.Profiles, error) {
	var u pprofile.ProtoUnmarshaler
	p, err := u.UnmarshalProfiles(b)
	if err == nil {
		pref.MarkPipelineOwnedProfiles(p)
	}
	return p, err
}

// Check implements [Signal]. It is linear in the payload.
func (Profiles) Check(p pprofile.Profiles) error { return checkProfiles(p) }

// Ref implements [Signal].
func (Profiles) Ref(p pprofile.Profiles) { pref.RefProfiles(p) }

// Unref implements [Signal].
func (Profiles) Unref(p pprofile.Profiles) { pref.UnrefProfiles(p) }

// Shared implements [Signal].
func (Profiles) Shared(p pprofile.Profiles) bool { return p.IsReadOnly() }

// Copy implements [Signal].
func (Profiles) Copy(p pprofile.Profiles) pprofile.Profiles {
	own := newProfiles()
	p.CopyTo(own)
	return own
}

// Merge implements [Signal]. Entries of the sources' dictionaries that nothing uses are left out.
func (Profiles) Merge(dst pprofile.Profiles, src ...pprofile.Profiles) {
	if len(src) == 0 {
		return
	}
	t := newTransfer(dst.Dictionary(), true)
	for _, p := range src {
		t.bring(p, p.Dictionary())
	}
	merge(dst, src, pprofile.Profiles.ResourceProfiles)
}

// Subset implements [Signal].
func (Profiles) Subset(err error) (pprofile.Profiles, bool) {
	failed, ok := errors.AsType[xconsumererror.Profiles](err)
	return failed.Data(), ok
}

// Cut implements [Signal].
func (Profiles) Cut(p pprofile.Profiles, _ Measure) Cutter[pprofile.Profiles] {
	return &profilesCutter{cutter: newCutter(p, profilesTree.items(p), Measure{}, profilesTree, newProfiles)}
}

var profilesTree = func() *branch[pprofile.Profiles, pprofile.ResourceProfiles, pprofile.ResourceProfilesSlice] {
	profile := newLeaf(copyProfile, pprofile.Profile.Samples, message[pprofile.Profile]{}, nil)
	profile.least, profile.whole = 1, moveWhole
	scope := newBranch(copyScope[pprofile.ScopeProfiles], pprofile.ScopeProfiles.Profiles, profile, message[pprofile.ScopeProfiles]{})
	resource := newBranch(copyResource[pprofile.ResourceProfiles], pprofile.ResourceProfiles.ScopeProfiles, scope, message[pprofile.ResourceProfiles]{})
	return newBranch(copyNothing[pprofile.Profiles], pprofile.Profiles.ResourceProfiles, resource, message[pprofile.Profiles]{})
}()

// Strip implements [Signal].
func (Profiles) Strip(p pprofile.Profiles) { profilesTree.strip(p) }

// AppendCopy implements [Signal]. What seam joins is copied twice.
func (Profiles) AppendCopy(dst, src pprofile.Profiles, from, to, seam int) {
	part := pprofile.NewProfiles()
	profilesTree.joinSome(part, src, from, to, 0)
	newTransfer(dst.Dictionary(), true).bring(part, src.Dictionary())
	resources, added := dst.ResourceProfiles(), part.ResourceProfiles()
	first := 0
	if seam > 0 && added.Len() > 0 && resources.Len() > 0 {
		profilesTree.child.join(resources.At(resources.Len()-1), added.At(0), seam-1)
		first++
	}
	for i := first; i < added.Len(); i++ {
		added.At(i).MoveTo(resources.AppendEmpty())
	}
}

// profilesCutter gives each part a dictionary of its own, with the entries that it uses and no others.
type profilesCutter struct {
	*cutter[pprofile.Profiles, pprofile.ResourceProfiles, pprofile.ResourceProfilesSlice]

	split      bool                        // part of the payload was taken
	dictionary pprofile.ProfilesDictionary // that of the payload, once it is split
}

// Take implements [Cutter]. Bytes are not known, and not looked at.
func (c *profilesCutter) Take(q Quota) (head pprofile.Profiles, took Quota) {
	if !c.split {
		if q.Items >= c.Left().Items {
			return c.cutter.Take(q)
		}
		c.split, c.dictionary = true, pprofile.NewProfilesDictionary()
		c.payload.Dictionary().MoveTo(c.dictionary)
	}
	head, took = c.cutter.Take(q)
	newTransfer(head.Dictionary(), false).bring(head, c.dictionary)
	return head, took
}

// Resources implements [Signal].
func (Profiles) Resources(p pprofile.Profiles) int { return p.ResourceProfiles().Len() }

// Resource implements [Signal].
func (Profiles) Resource(p pprofile.Profiles, i int) pcommon.Resource {
	return p.ResourceProfiles().At(i).Resource()
}

// ItemsOf implements [Signal].
func (Profiles) ItemsOf(p pprofile.Profiles, i int) int {
	return profilesTree.child.items(p.ResourceProfiles().At(i))
}

// SizeOf implements [Signal].
func (Profiles) SizeOf(pprofile.Profiles, int) int {
	panic("signal: profiles have no size before they are encoded")
}

// Divide implements [Signal]. finish gives a part a dictionary of its own, with the entries that it uses and no others. Until
// then all parts share one: what many of them use is not copied for all at once.
func (Profiles) Divide(p pprofile.Profiles, of []int, n int) ([]pprofile.Profiles, func(pprofile.Profiles)) {
	dictionary := pprofile.NewProfilesDictionary()
	p.Dictionary().MoveTo(dictionary)
	return divide(p, of, n, pprofile.Profiles.ResourceProfiles, newProfiles), func(part pprofile.Profiles) {
		newTransfer(part.Dictionary(), false).bring(part, dictionary)
	}
}

// DivideItems implements [ByItem]. finish gives a part a dictionary of its own too.
func (Profiles) DivideItems(p pprofile.Profiles, of []int, n int) ([]pprofile.Profiles, func(int, pprofile.Profiles)) {
	dictionary := pprofile.NewProfilesDictionary()
	p.Dictionary().MoveTo(dictionary)
	parts, fill := divideItems(p, of, n, profilesTree, newProfiles)
	return parts, func(k int, part pprofile.Profiles) {
		fill(k, part)
		newTransfer(part.Dictionary(), false).bring(part, dictionary)
	}
}

// UniteItems implements [ByItem].
func (Profiles) UniteItems(pprofile.Profiles, []pprofile.Profiles, []int) {
	panic("signal: profiles that were divided have dictionaries of their own")
}

// SizesOfItems implements [ByItem].
func (Profiles) SizesOfItems(pprofile.Profiles, []int, int) []Measure {
	panic("signal: profiles have no size before they are encoded")
}

// copyProfile copies all of a profile that is true of a part of it, but its samples.
func copyProfile(dst, src pprofile.Profile) {
	src.SampleType().CopyTo(dst.SampleType())
	dst.SetTime(src.Time())
	dst.SetDurationNano(src.DurationNano())
	src.PeriodType().CopyTo(dst.PeriodType())
	dst.SetPeriod(src.Period())
	dst.SetDroppedAttributesCount(src.DroppedAttributesCount())
	src.AttributeIndices().CopyTo(dst.AttributeIndices())
}

// moveWhole moves what is true of a profile as a whole: the ID, by which parts that share it may be taken for copies of each other, and
// the original payload, which would be sent as often as there are parts.
func moveWhole(dst, src pprofile.Profile) {
	dst.SetProfileID(src.ProfileID())
	src.SetProfileID(pprofile.ProfileID{})
	dst.SetOriginalPayloadFormat(src.OriginalPayloadFormat())
	src.SetOriginalPayloadFormat("")
	src.OriginalPayload().MoveTo(dst.OriginalPayload())
}

// newProfiles makes a payload that is known to be a pipeline's: the graph's next consumer gives back no reference of it.
func newProfiles() pprofile.Profiles {
	p := pprofile.NewProfiles()
	pref.MarkPipelineOwnedProfiles(p)
	return p
}
