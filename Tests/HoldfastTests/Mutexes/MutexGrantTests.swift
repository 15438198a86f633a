// SPDX-License-Identifier: Apache-2.0
//
// The shape of locks, for mutexes; and errors that say which mutex of which arena.

import Holdfast
import Testing

@Suite(.temporaryDirectory)
struct MutexGrantTests {
    private func arena() throws -> MutexArena { try MutexArena(TemporaryDirectory.current + "/a.arena", count: 8) }

    @Test("A busy mutex is a value that names the holder, and the error says which mutex it is")
    func busy() async throws {
        let mutex = try arena()[7]
        let lock = try await mutex.lock(timeout: .seconds(600))
        for timeout in [.zero, .seconds(Int64.min), .milliseconds(5)] as [Duration] {
            guard case .busy(let holder) = try await mutex.tryLock(timeout: timeout) else {
                Issue.record("not busy")
                return
            }
            #expect(holder.pid == ProcessIdentity.current.pid)
            #expect("\(holder)".contains(", by its slot of the arena"))
        }
        let error = await #expect(throws: LockError.self) { try await mutex.withLock(timeout: .zero) { _ in } }
        let blocking = #expect(throws: LockError.self) { try block { try mutex.withLock(timeout: .zero) { _ in } } }
        for error in [error, blocking] {
            #expect(error?.code == .timedOut)
            #expect(error?.mutex == 7)
            let text = try #require(error?.description)
            #expect(
                text.hasPrefix("mutex 7 of arena '\(TemporaryDirectory.current)/a.arena': the deadline passed; held by")
            )
            #expect(!text.contains("lock file"))
            #expect(!text.contains("PID in the file"))
        }
        try lock.release()
        let isFree = acquired(try await mutex.tryLock(timeout: .seconds(Int64.max))) != nil
        #expect(isFree)
    }

    @Test("What is wrong with an arena is said of an arena")
    func arenas() throws {
        let path = TemporaryDirectory.current + "/b.arena"
        let count = #expect(throws: LockError.self) { try MutexArena(path, count: 0) }
        #expect(count?.description == "arena '\(path)': an arena has 1 to \(MutexArena.maximumCount) mutexes, not 0")
        #expect(count?.mutex == nil)
        let file = try LockFile(path)
        try file.withLock { _ in }
        let foreign = #expect(throws: LockError.self) { try MutexArena(path, count: 1) }
        #expect(foreign?.description.hasPrefix("arena '\(path)': ") == true)
        let index = #expect(throws: LockError.self) { try arena()[8].withLock { _ in } }
        #expect(index?.code == .refused)
        #expect(index?.description.contains("has none with the number 8") == true)
    }

    @Test("Tokens of a mutex grow, and are coded as numbers")
    func tokens() throws {
        let mutex = try arena()[0]
        let (first, second) = (try mutex.withLock { $0.token }, try mutex.withLock { $0.token })
        #expect(first < second)
        #if JSON
        #expect(try JSONCodec<MutexToken>().decode(JSONCodec<MutexToken>().encode(second)) == second)
        #endif
    }
}
