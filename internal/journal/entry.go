// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"time"
)

// Entry is one value that is kept. Its fields are the Journal's.
type Entry struct {
	number uint64 // the committer's; immutable once the entry is being written
	since  int64  // when its value was accepted, in Unix milliseconds; immutable

	// Guarded by Journal.mu.

	state state
	size  int
	value []byte // with room for the envelope in front; nil once it is stored, or will not be

	older, newer *Entry // in the Journal's list
}

// state is where an entry stands.
//
//	fresh ──Append──► queued ──committer──► writing ──ok──► stored ──Delete──► gone
//	                    └──Delete──► gone      └──Delete──► doomed ──either way──► gone
type state int8

const (
	fresh state = iota
	queued
	writing
	doomed // it is being written, and deleted afterwards
	stored
	gone
)

// Overhead is the number of bytes in front of each value that are the Journal's: version, CRC and time.
const Overhead = covered + 8

const (
	entryVersion = 1
	covered      = 1 + crc32.Size // from here on the CRC covers the entry
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NewEntry makes an entry that Append stores, of what was accepted at since. value begins behind Overhead bytes, which the Journal fills;
// it is the Journal's from here on, and only read.
func NewEntry(value []byte, since time.Time) *Entry {
	return &Entry{value: value, size: len(value), since: since.UnixMilli()}
}

// Size is the number of bytes that the entry takes in the storage, without its key.
func (e *Entry) Size() int { return e.size }

// key is r and the number in hexadecimal, with 16 digits. Each entry has it made for its put, for its delete, and when it is read.
func key(number uint64) string {
	var digits [8]byte
	binary.BigEndian.PutUint64(digits[:], number)
	return string(hex.AppendEncode(append(make([]byte, 0, 17), 'r'), digits[:]))
}

// seal fills the envelope: the version, the CRC of the number and what follows, and the time. So a value under another's key is found out
// too.
func seal(e *Entry) []byte {
	e.value[0] = entryVersion
	binary.BigEndian.PutUint64(e.value[covered:], uint64(e.since))
	binary.BigEndian.PutUint32(e.value[1:], checksum(e.number, e.value))
	return e.value
}

// open returns the value in an envelope, and when it was accepted.
func open(number uint64, stored []byte) (value []byte, since int64, err error) {
	switch {
	case stored == nil:
		return nil, 0, fmt.Errorf("%w: %s", ErrMissing, key(number))
	case len(stored) > 0 && stored[0] > entryVersion:
		return nil, 0, fmt.Errorf("%w: %s has version %d", ErrNewer, key(number), stored[0])
	case len(stored) < Overhead || stored[0] != entryVersion || binary.BigEndian.Uint32(stored[1:]) != checksum(number, stored):
		return nil, 0, fmt.Errorf("%w: %s of %d bytes", ErrDamaged, key(number), len(stored))
	}
	return stored[Overhead:], int64(binary.BigEndian.Uint64(stored[covered:])), nil
}

// checksum is the CRC of the number and what it covers of the entry.
func checksum(number uint64, entry []byte) uint32 {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], number)
	return crc32.Update(crc32.Checksum(n[:], castagnoli), castagnoli, entry[covered:])
}

// list is the stored entries, or those that may be, in the order of their numbers.
type list struct{ oldest, newest *Entry }

// add appends an entry, whose number is above all others.
func (l *list) add(e *Entry) {
	if e.older = l.newest; e.older == nil {
		l.oldest = e
	} else {
		e.older.newer = e
	}
	l.newest = e
}

func (l *list) remove(e *Entry) {
	if e.older == nil {
		l.oldest = e.newer
	} else {
		e.older.newer = e.newer
	}
	if e.newer == nil {
		l.newest = e.older
	} else {
		e.newer.older = e.older
	}
	e.older, e.newer = nil, nil
}
