// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"cmp"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pprofile"
)

// checkProfiles reports the first thing in p that would be lost or changed by a merge or a cut, or would stop it half-way.
//
// All entries of the dictionary are checked, not only those in use: that is simpler, and as linear.
func checkProfiles(p pprofile.Profiles) error {
	c := newChecker(p.Dictionary())
	if err := c.dictionary(); err != nil {
		return err
	}
	n := 0 // profiles of the payload so far
	for i, resource := range p.ResourceProfiles().All() {
		if err := c.checkDirect(resource.Resource().Attributes()); err != nil {
			return fmt.Errorf("resource %d: %w", i, err)
		}
		for j, scope := range resource.ScopeProfiles().All() {
			if err := c.checkDirect(scope.Scope().Attributes()); err != nil {
				return fmt.Errorf("resource %d, scope %d: %w", i, j, err)
			}
			for _, profile := range scope.Profiles().All() {
				if err := c.profile(n, profile); err != nil {
					return err
				}
				n++
			}
		}
	}
	return nil
}

// maxDepth bounds how deep values are nested: as protobuf's own libraries do, since all that looks at values recurses.
const maxDepth = 100

// checkDirect checks the attributes of a resource or scope. pdata's encoder turns their keys and texts into references to
// the string table. It does that in place, for mutable payloads, as when one was sent before by a component that tries
// several destinations. Such a reference would point into the wrong string table.
func (c *checker) checkDirect(attributes pcommon.Map) error {
	for k, v := range attributes.All() {
		if k == "" {
			return errors.New("attribute without a key, or encoded before")
		}
		if err := c.value(v, 1); err != nil { // to none but string 0
			return fmt.Errorf("attribute %q: %w", k, err)
		}
	}
	return nil
}

// value checks the references in v to a string table with so many entries.
func (c *checker) value(v pcommon.Value, entries int) (err error) {
	if err = checkDepth(v, maxDepth); err == nil {
		c.references.check(v, func(i int32) {
			err = cmp.Or(err, checkIndex("string", i, entries))
		})
	}
	return err
}

func checkDepth(v pcommon.Value, left int) error {
	if left == 0 {
		return fmt.Errorf("value nested deeper than %d", maxDepth)
	}
	switch v.Type() {
	case pcommon.ValueTypeMap:
		for _, v := range v.Map().All() {
			if err := checkDepth(v, left-1); err != nil {
				return err
			}
		}
	case pcommon.ValueTypeSlice:
		for _, v := range v.Slice().All() {
			if err := checkDepth(v, left-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// checker knows the dictionary of one payload, and the number of entries in its tables.
type checker struct {
	dict       pprofile.ProfilesDictionary
	references references

	strings, attributes, links, functions, mappings, locations, stacks int
}

func newChecker(d pprofile.ProfilesDictionary) *checker {
	return &checker{
		dict:       d,
		strings:    d.StringTable().Len(),
		attributes: d.AttributeTable().Len(),
		links:      d.LinkTable().Len(),
		functions:  d.FunctionTable().Len(),
		mappings:   d.MappingTable().Len(),
		locations:  d.LocationTable().Len(),
		stacks:     d.StackTable().Len(),
	}
}

// dictionary checks each table: that its entry 0 is what stands for "none" in all payloads, and all references in it.
func (c *checker) dictionary() error {
	if c.strings > 0 && c.dict.StringTable().At(0) != "" {
		return fmt.Errorf("string table: entry 0 is %q and not empty", c.dict.StringTable().At(0))
	}
	return cmp.Or(
		checkTable("attribute", c.dict.AttributeTable(), pprofile.NewKeyValueAndUnit(), c.attribute),
		checkTable("link", c.dict.LinkTable(), pprofile.NewLink(), func(pprofile.Link) error { return nil }),
		checkTable("function", c.dict.FunctionTable(), pprofile.NewFunction(), c.function),
		checkTable("mapping", c.dict.MappingTable(), pprofile.NewMapping(), c.mapping),
		checkTable("location", c.dict.LocationTable(), pprofile.NewLocation(), c.location),
		checkTable("stack", c.dict.StackTable(), pprofile.NewStack(), c.stack),
	)
}

func checkTable[E interface{ Equal(E) bool }, S slice[E]](name string, table S, zero E, check func(E) error) error {
	for i := range table.Len() {
		entry := table.At(i)
		if i == 0 && !entry.Equal(zero) {
			return fmt.Errorf("%s table: entry 0 is not empty", name)
		}
		if err := check(entry); err != nil {
			return fmt.Errorf("%s %d: %w", name, i, err)
		}
	}
	return nil
}

func (c *checker) attribute(a pprofile.KeyValueAndUnit) error {
	return cmp.Or(
		checkIndex("key string", a.KeyStrindex(), c.strings),
		checkIndex("unit string", a.UnitStrindex(), c.strings),
		c.value(a.Value(), c.strings),
	)
}

func (c *checker) function(f pprofile.Function) error {
	return cmp.Or(
		checkIndex("name string", f.NameStrindex(), c.strings),
		checkIndex("system name string", f.SystemNameStrindex(), c.strings),
		checkIndex("file name string", f.FilenameStrindex(), c.strings),
	)
}

func (c *checker) mapping(m pprofile.Mapping) error {
	return cmp.Or(
		checkIndex("file name string", m.FilenameStrindex(), c.strings),
		checkIndices("attribute", m.AttributeIndices(), c.attributes),
	)
}

func (c *checker) location(l pprofile.Location) error {
	for i, line := range l.Lines().All() {
		if err := checkIndex("function", line.FunctionIndex(), c.functions); err != nil {
			return fmt.Errorf("line %d: %w", i, err)
		}
	}
	return cmp.Or(
		checkIndex("mapping", l.MappingIndex(), c.mappings),
		checkIndices("attribute", l.AttributeIndices(), c.attributes),
	)
}

func (c *checker) stack(s pprofile.Stack) error {
	return checkIndices("location", s.LocationIndices(), c.locations)
}

// profile checks p, the n-th profile of the payload.
func (c *checker) profile(n int, p pprofile.Profile) error {
	err := cmp.Or(
		checkIndex("sample type string", p.SampleType().TypeStrindex(), c.strings),
		checkIndex("sample unit string", p.SampleType().UnitStrindex(), c.strings),
		checkIndex("period type string", p.PeriodType().TypeStrindex(), c.strings),
		checkIndex("period unit string", p.PeriodType().UnitStrindex(), c.strings),
		checkIndices("attribute", p.AttributeIndices(), c.attributes),
	)
	if err != nil {
		return fmt.Errorf("profile %d: %w", n, err)
	}
	for i, s := range p.Samples().All() {
		err := cmp.Or(
			checkIndex("stack", s.StackIndex(), c.stacks),
			checkIndex("link", s.LinkIndex(), c.links),
			checkIndices("attribute", s.AttributeIndices(), c.attributes),
		)
		if err != nil {
			return fmt.Errorf("profile %d, sample %d: %w", n, i, err)
		}
	}
	return nil
}

// checkIndex checks a single reference. 0 is "none", and fine even if the table is empty.
func checkIndex(what string, i int32, entries int) error {
	if i == 0 || (i > 0 && int(i) < entries) {
		return nil
	}
	return outOfRange(what, i, entries)
}

// checkIndices checks a list of references. In a list 0 is an entry like others, and pdata looks it up.
func checkIndices(what string, list pcommon.Int32Slice, entries int) error {
	for k := range list.Len() {
		if i := list.At(k); i < 0 || int(i) >= entries {
			return outOfRange(what, i, entries)
		}
	}
	return nil
}

func outOfRange(what string, i int32, entries int) error {
	return fmt.Errorf("%s index %d out of range [0, %d)", what, i, entries)
}
