// SPDX-License-Identifier: Apache-2.0
//
// A service stores whose a job is and under which token, and asks later: what identifies anything survives being coded.

#if JSON
import Holdfast
import Testing

@Suite(.temporaryDirectory)
struct IdentityCodingTests {
    private struct Claim: Codable, Hashable {
        var process: ProcessIdentity
        var token: FencingToken
        var generation: Generation
        var store: StoreID
    }

    private func again<Value: Codable>(_ value: Value) throws -> Value {
        let codec = JSONCodec<Value>()
        return try codec.decode(codec.encode(value))
    }

    @Test
    func aClaimIsTheSameAfterwards() throws {
        let store = try #require(StoreID("00000000000000ff"))
        let claim = Claim(process: .current, token: FencingToken(.max), generation: 7, store: store)
        let same = try again(claim)
        #expect(same == claim)
        guard case .alive = Liveness.of(same.process) else {
            Issue.record("this process runs: \(Liveness.of(same.process))")
            return
        }
    }

    @Test("A number is coded as a number, a store as its digits, so that other programs read them")
    func form() throws {
        func text(_ value: some Codable) throws -> String { String(decoding: try bytes(value), as: UTF8.self) }
        func bytes<Value: Codable>(_ value: Value) throws -> [UInt8] { try JSONCodec<Value>().encode(value) }
        #expect(try text(FencingToken(12)) == "12")
        #expect(try text(Generation(3)) == "3")
        #expect(try text(StoreID(value: 255)) == "\"00000000000000ff\"")
        #expect(try text(StateStrategy.twoSlot) == "\"two-slot\"")
        #expect(throws: DecodingError.self) { try JSONCodec<StoreID>().decode(Array("\"FF\"".utf8)) }
        #expect(throws: DecodingError.self) { try JSONCodec<FencingToken>().decode(Array("-1".utf8)) }
    }

    @Test
    func aCommitAndAHolderAreTheSameAfterwards() throws {
        let directory = try Ground.kernel.makeDirectory()
        let commit = try StateFile<[UInt8]>("state", in: directory).save([1])
        #expect(try again(commit) == commit)
        let file = try LockFile("a.lock", in: directory)
        let lock = try file.lock()
        guard case .held(let holder) = try file.status() else {
            Issue.record("the lock is held")
            return
        }
        #expect(try again(holder) == holder)
        try lock.release()
    }
}
#endif
