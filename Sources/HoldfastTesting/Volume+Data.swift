// SPDX-License-Identifier: Apache-2.0
//
// Bytes, owners and modes of the simulated volume's files, with the changes that they make on the device: sector by
// sector, the size page by page.

internal import Holdfast

extension Volume {
    /// Writes bytes, filling a gap before them with zeros.
    mutating func write(_ bytes: ArraySlice<UInt8>, to number: UInt64, at offset: Int) {
        let end = offset + bytes.count
        let oldSize = self[number].bytes.count
        self[number].bytes.grow(to: end)
        self[number].bytes.overwrite(bytes, at: offset)
        touch(number, modified: true)
        if changes != nil, !bytes.isEmpty { noteWrite(to: number, offset..<end, oldSize) }
    }

    private mutating func noteWrite(to number: UInt64, _ range: Range<Int>, _ oldSize: Int) {
        let bytes = self[number].bytes
        var size = oldSize
        var start = range.lowerBound
        while start < range.upperBound {
            let end = min(range.upperBound, (start / Self.pageSize + 1) * Self.pageSize)
            for sector in start / sectorSize...(end - 1) / sectorSize {
                let first = sector * sectorSize
                // Of a page that grows, the bytes behind the end are not on their way yet.
                let last = min(first + sectorSize, max(size, end))
                note(.sector(number, sector, Array(bytes[first..<last])))
            }
            if end > size {
                note(.size(number, from: size, to: end))
                size = end
            }
            start = end
        }
    }

    /// Takes over what a process stored in the memory of a mapped file.
    mutating func store(_ stores: [StoredWord], in number: UInt64) {
        touch(number, modified: true)
        for store in stores {
            self[number].bytes.overwrite(store.bytes[...], at: store.offset)
            note(.word(number, store, isLast: store == stores.last))
        }
    }

    /// Cuts a file off, or has it grow by zeros.
    mutating func resize(_ number: UInt64, to size: Int) {
        let count = self[number].bytes.count
        if size < count {
            self[number].bytes.removeLast(count - size)
        } else {
            self[number].bytes.grow(to: size)
        }
        touch(number, modified: true)
        if size != count { note(.size(number, from: count, to: size)) }
    }

    /// Notes that mode or owner of a file changed.
    mutating func touchOwner(_ number: UInt64) {
        touch(number)
        let inode = self[number]
        note(.owner(number, permissions: inode.permissions, owner: inode.owner, group: inode.group))
    }
}

/// Whole pieces of memory at once: in a debug build a collection's own ways go byte by byte.
extension [UInt8] {
    /// Appends zeros until there are so many bytes.
    mutating func grow(to size: Int) {
        if size > count { append(contentsOf: [UInt8](repeating: 0, count: size - count)) }
    }

    /// Puts bytes in the place of others.
    mutating func overwrite(_ bytes: ArraySlice<UInt8>, at offset: Int) {
        unsafe withUnsafeMutableBytes { target in
            unsafe bytes.withUnsafeBytes { source in
                unsafe UnsafeMutableRawBufferPointer(rebasing: target[offset..<offset + bytes.count])
                    .copyMemory(from: source)
            }
        }
    }
}
