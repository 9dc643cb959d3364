// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Entry is one value that is kept. Its fields are the Journal's.
type Entry struct {
	number uint64 // the committer's; immutable once the entry is being written

	// Guarded by Journal.mu.

	state state
	size  int
	value []byte // with room for the envelope in front; nil once it is stored, or will not be
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

// Overhead is the number of bytes in front of each value that are the Journal's.
const Overhead = 5

const entryVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NewEntry makes an entry that Append stores. value begins behind Overhead bytes, which the Journal fills; it is the Journal's from here
// on, and only read.
func NewEntry(value []byte) *Entry { return &Entry{value: value, size: len(value)} }

// Size is the number of bytes that the entry takes in the storage, without its key.
func (e *Entry) Size() int { return e.size }

func key(number uint64) string { return fmt.Sprintf("r%016x", number) }

// seal fills the envelope: the version, and the CRC of number and value. So a value under another's key is found out too.
func seal(number uint64, value []byte) []byte {
	value[0] = entryVersion
	binary.BigEndian.PutUint32(value[1:], checksum(number, value[Overhead:]))
	return value
}

// open returns the value in an envelope.
func open(number uint64, stored []byte) ([]byte, error) {
	switch {
	case stored == nil:
		return nil, fmt.Errorf("%w: %s", ErrMissing, key(number))
	case len(stored) > 0 && stored[0] > entryVersion:
		return nil, fmt.Errorf("%w: %s has version %d", ErrNewer, key(number), stored[0])
	case len(stored) < Overhead || stored[0] != entryVersion || binary.BigEndian.Uint32(stored[1:]) != checksum(number, stored[Overhead:]):
		return nil, fmt.Errorf("%w: %s of %d bytes", ErrDamaged, key(number), len(stored))
	}
	return stored[Overhead:], nil
}

func checksum(number uint64, value []byte) uint32 {
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], number)
	return crc32.Update(crc32.Checksum(n[:], castagnoli), castagnoli, value)
}
