// SPDX-License-Identifier: Apache-2.0
//
// CRC-64/NVME over exact bytes: 64 bits tell a half-overwritten slot from a whole one, and every burst up to 64 bits and
// every flip of one bit is found for certain. It is no defence against somebody who means harm: they can compute it too.

internal import _HoldfastCShims

/// CRC-64/NVME (NVM Express NVM Command Set Specification, 64b CRC), as a running value.
package struct Checksum: Hashable, Sendable {
    package private(set) var value: UInt64 = 0

    package init() {}

    /// Extends it by more bytes.
    ///
    /// Folds by carry-less multiplication where the processor has it.
    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        value = unsafe hf_crc64_nvme(value, bytes.baseAddress, bytes.count)
    }
}
