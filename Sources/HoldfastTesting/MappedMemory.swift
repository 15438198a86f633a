// SPDX-License-Identifier: Apache-2.0
//
// The memory of a mapped file: one buffer for all who map it, as the page cache is. Processes store into it without a call,
// so at every call it is compared with the file's bytes, word by word; what is another one was stored since.

internal import Holdfast
internal import _HoldfastCShims

/// A buffer that mirrors the bytes of a file.
@safe
final class MappedMemory: Sendable {
    static let wordSize = 8
    private static let least = 16 * Volume.pageSize

    nonisolated(unsafe) let base: UnsafeMutableRawPointer
    /// How much of the file can be mapped.
    let capacity: Int

    /// The memory of a file of which so many bytes are mapped first.
    init(_ bytes: [UInt8], length: Int) {
        capacity = max(Self.least, (length + Volume.pageSize - 1) / Volume.pageSize * Volume.pageSize)
        unsafe base = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: Volume.pageSize)
        unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: capacity)
        show(bytes, 0..<bytes.count)
    }

    deinit {
        unsafe base.deallocate()
    }

    var address: UInt { unsafe UInt(bitPattern: base) }

    /// Shows some bytes of the file that were written.
    func show(_ bytes: [UInt8], _ range: Range<Int>) {
        let range = range.clamped(to: 0..<min(bytes.count, capacity))
        unsafe bytes.withUnsafeBytes { source in
            let piece = unsafe UnsafeRawBufferPointer(rebasing: source[range])
            unsafe UnsafeMutableRawBufferPointer(start: base + range.lowerBound, count: range.count)
                .copyMemory(from: piece)
        }
    }

    /// Shows zeros where the file was cut off.
    func clear(from offset: Int) {
        if offset >= capacity { return }
        unsafe (base + offset).initializeMemory(as: UInt8.self, repeating: 0, count: capacity - offset)
    }

    /// The aligned words that were stored since the file had these bytes; bytes behind the last whole word are not looked at.
    func stores(over bytes: [UInt8]) -> [StoredWord] {
        let words = unsafe base.assumingMemoryBound(to: UInt64.self)
        let count = min(bytes.count, capacity) / Self.wordSize
        return unsafe bytes.withUnsafeBytes { bytes in
            var stores: [StoredWord] = []
            guard let start = bytes.baseAddress else { return stores }
            var value: UInt64 = 0
            var index = unsafe hf_first_difference(words, start, 0, count, &value)
            while index < count {
                stores.append(StoredWord(offset: index * Self.wordSize, value: value))
                index = unsafe hf_first_difference(words, start, index + 1, count, &value)
            }
            return stores
        }
    }
}

/// A word of a mapped file that a process stored.
struct StoredWord: Hashable, Sendable {
    let offset: Int
    let value: UInt64

    var bytes: [UInt8] { unsafe withUnsafeBytes(of: value) { unsafe Array($0) } }
}
