// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"slices"
)

const (
	headerKey     = "pb1"
	headerMagic   = "pbj"
	headerVersion = 1
)

// appendHeader appends a header that names blocks: magic, version, size of a block, number of blocks, each block as the difference to the
// one before it, and the CRC of all that. Numbers are unsigned varints.
func appendHeader(b []byte, size uint64, blocks []uint64) []byte {
	start := len(b)
	b = append(append(b, headerMagic...), headerVersion)
	b = binary.AppendUvarint(b, size)
	b = binary.AppendUvarint(b, uint64(len(blocks)))
	last := uint64(0)
	for _, n := range blocks {
		b = binary.AppendUvarint(b, n-last)
		last = n
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// readHeader returns the size of the blocks that a header names, and the first number of each.
func readHeader(b []byte) (size uint64, first []uint64, err error) {
	damaged := fmt.Errorf("%w: the header %s, of %d bytes", ErrDamaged, headerKey, len(b))
	if len(b) < len(headerMagic)+1+crc32.Size || string(b[:len(headerMagic)]) != headerMagic {
		return 0, nil, damaged
	}
	if v := b[len(headerMagic)]; v > headerVersion { // before the CRC, which that version may have elsewhere
		return 0, nil, fmt.Errorf("%w: the header %s has version %d, and %d is the latest that is known here", ErrNewer, headerKey, v, headerVersion)
	}
	end := len(b) - crc32.Size
	if binary.BigEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return 0, nil, damaged
	}
	rest, ok := b[len(headerMagic)+1:end], true
	number := func() (n uint64) {
		n, k := binary.Uvarint(rest)
		if ok = ok && k > 0; ok {
			rest = rest[k:]
		}
		return n
	}
	size = number()
	count, block := number(), uint64(0)
	for range count {
		if block += number(); !ok || size == 0 || block > math.MaxUint64/size {
			return 0, nil, damaged
		}
		first = append(first, block*size)
	}
	if !ok || size == 0 || len(rest) > 0 {
		return 0, nil, damaged
	}
	return size, first, nil
}

// header returns the header with all blocks of now, and the blocks. mu is held.
func (j *Journal) header() (value []byte, named map[uint64]bool) {
	blocks := slices.Sorted(maps.Keys(j.mu.blocks))
	named = make(map[uint64]bool, len(blocks))
	for _, b := range blocks {
		named[b] = true
	}
	return appendHeader(nil, j.blockSize(), blocks), named
}
