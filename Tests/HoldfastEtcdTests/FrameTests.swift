// SPDX-License-Identifier: Apache-2.0

#if Etcd
import HoldfastEtcd
import Testing

@Suite struct EtcdFrameTests {
    @Test func frameIsTheDocumentedBytes() throws {
        let frame = EtcdFrame(schema: 3, nonce: 0x0102_0304_0506_0708, token: 9, payload: [0xaa])
        let bytes = frame.bytes
        let head =
            Array("HFES".utf8) + [0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9]
        #expect(Array(bytes.prefix(32)) == head)
        #expect(bytes.count == 41 && bytes.last == 0xaa)
        #expect(try EtcdFrame(bytes, of: "state") == frame)
    }

    @Test func everyDamagedBitAndEveryCutIsSeen() throws {
        let frame = EtcdFrame(schema: 1, nonce: 7, token: 0, payload: Array("payload".utf8))
        let bytes = frame.bytes
        for index in bytes.indices {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[index] ^= 1 << bit
                let error = #expect(throws: EtcdError.self) { _ = try EtcdFrame(damaged, of: "state") }
                #expect(error?.code == .corrupt || error?.code == .newerFormat)
            }
            #expect(throws: EtcdError.self) { _ = try EtcdFrame(Array(bytes.prefix(index)), of: "state") }
        }
    }

    @Test func laterFormatIsNotCalledDamage() {
        var bytes = EtcdFrame(schema: 1, nonce: 7, token: 0, payload: []).bytes
        bytes[7] = 2
        let error = #expect(throws: EtcdError.self) { _ = try EtcdFrame(bytes, of: "state") }
        #expect(error?.code == .newerFormat && error?.found == 2)
    }
}
#endif
