// SPDX-License-Identifier: Apache-2.0
//
// CRC-64/NVME: the known values, and that the versions of it agree.

import Holdfast
import HoldfastTesting
import Testing
import _HoldfastCShims

struct ChecksumTests {
    @Test(
        "Known values, by the version that this processor gets and by the table",
        arguments: [
            (Array("123456789".utf8), 0xAE8B_1486_0A79_9888),
            ([], 0),
            ([UInt8](repeating: 0x00, count: 4096), 0x6482_D367_EB22_B64E),
            ([UInt8](repeating: 0xFF, count: 4096), 0xC0DD_BA73_02EC_A3AC),
        ] as [([UInt8], UInt64)]
    )
    func knownValues(bytes: [UInt8], expected: UInt64) {
        var checksum = Checksum()
        unsafe bytes.withUnsafeBytes { unsafe checksum.update($0) }
        #expect(checksum.value == expected)
        let byTable = unsafe bytes.withUnsafeBytes { unsafe hf_crc64_nvme_table(0, $0.baseAddress, $0.count) }
        #expect(byTable == expected)
    }

    @Test("The accelerated version agrees with the table at every length to 4,096 and every alignment to 64")
    func versionsAgree() {
        print("checksum: \(hf_crc64_nvme_is_accelerated() ? "carry-less multiplication" : "table") on this processor")
        var random = SplitMix(seed: 0x1234_5678)
        let bytes = (0..<4096 + 64).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        var disagreements = 0
        unsafe bytes.withUnsafeBytes { bytes in
            for alignment in 0..<64 {
                // The table is checked at every length by one running value, and by the known values.
                var byTable: UInt64 = 0
                for length in 0...4096 {
                    let whole = unsafe hf_crc64_nvme(0, bytes.baseAddress?.advanced(by: alignment), length)
                    if whole != byTable { disagreements += 1 }
                    let next = unsafe bytes.baseAddress?.advanced(by: alignment + length)
                    byTable = unsafe hf_crc64_nvme_table(byTable, next, length < 4096 ? 1 : 0)
                }
            }
        }
        #expect(disagreements == 0)
    }

    @Test("Pieces give what the whole gives, wherever it is cut")
    func pieces() {
        var random = SplitMix(seed: 42)
        let bytes = (0..<1000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        unsafe bytes.withUnsafeBytes { bytes in
            var whole = Checksum()
            unsafe whole.update(bytes)
            for cut in 0...bytes.count {
                var pieces = Checksum()
                unsafe pieces.update(UnsafeRawBufferPointer(rebasing: bytes[..<cut]))
                unsafe pieces.update(UnsafeRawBufferPointer(rebasing: bytes[cut...]))
                #expect(pieces == whole)
            }
        }
    }
}
