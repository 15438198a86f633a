// SPDX-License-Identifier: Apache-2.0
//
// What a state's key holds. Numbers are big-endian.
//
//     0   4  "HFES"
//     4   4  format, 1
//     8   4  schema
//    12   4  reserved, 0
//    16   8  nonce of the save: tells whose save a frame is when an answer was lost
//    24   8  fencing token of the save; 0 without one
//    32   8  CRC-64/NVME of the bytes 0 to 31 and of the payload
//    40      payload
//
// etcd checks its own log and not its database; the checksum finds what another program, a proxy or a restored backup
// did.

#if Etcd
internal import Holdfast

package struct EtcdFrame: Hashable {
    package var schema: UInt32
    package var nonce: UInt64
    package var token: UInt64
    package var payload: [UInt8]

    package init(schema: UInt32, nonce: UInt64, token: UInt64, payload: [UInt8]) {
        self.schema = schema
        self.nonce = nonce
        self.token = token
        self.payload = payload
    }

    private static let magic = Array("HFES".utf8)
    private static let headerLength = 40

    package var bytes: [UInt8] {
        let head =
            Self.magic + bigEndian(1).suffix(4) + bigEndian(UInt64(schema)).suffix(4) + [0, 0, 0, 0] + bigEndian(nonce)
            + bigEndian(token)
        return head + bigEndian(Self.checksum(of: head, payload)) + payload
    }

    /// Reads a frame.
    ///
    /// - Throws: `corrupt` or `newerFormat`.
    package init(_ bytes: [UInt8], of subject: String) throws(EtcdError) {
        guard bytes.count >= 8, bytes.starts(with: Self.magic) else {
            throw EtcdError(.corrupt, subject, "its \(bytes.count) bytes do not begin as a state does")
        }
        func number(_ range: Range<Int>) -> UInt64 { bytes[range].reduce(0) { $0 << 8 | UInt64($1) } }
        let format = number(4..<8)
        if format > 1 {
            throw EtcdError(
                .newerFormat,
                subject,
                "it has format \(format) of a later Holdfast",
                expected: 1,
                found: format
            )
        }
        guard format == 1, bytes.count >= Self.headerLength, number(12..<16) == 0 else {
            throw EtcdError(.corrupt, subject, "its head is damaged")
        }
        payload = Array(bytes[Self.headerLength...])
        schema = UInt32(number(8..<12))
        nonce = number(16..<24)
        token = number(24..<32)
        guard number(32..<40) == Self.checksum(of: Array(bytes[..<32]), payload) else {
            throw EtcdError(.corrupt, subject, "its checksum is wrong")
        }
    }

    private static func checksum(of head: [UInt8], _ payload: [UInt8]) -> UInt64 {
        var checksum = Checksum()
        unsafe head.withUnsafeBytes { unsafe checksum.update($0) }
        unsafe payload.withUnsafeBytes { unsafe checksum.update($0) }
        return checksum.value
    }
}
#endif
