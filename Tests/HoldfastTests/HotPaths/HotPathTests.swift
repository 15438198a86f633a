// SPDX-License-Identifier: Apache-2.0
//
// What is done often neither allocates nor calls the kernel. The counter and the filter are shown to see what they look for.

import Foundation
import Holdfast
import Testing
import _HoldfastTestShims

@Suite(.temporaryDirectory)
struct HotPathTests {
    private var directory: String { TemporaryDirectory.current }

    /// How often the body allocates on this thread, once it has run before; nil if that cannot be counted.
    private func allocations(in test: String = #function, _ body: () throws -> Void) rethrows -> UInt64? {
        guard hft_counts_allocations() else {
            print("NOT RUN: \(test): allocations cannot be counted beside a sanitizer, or without glibc")
            try body()
            return nil
        }
        try body()
        hft_begin_counting()
        defer { _ = hft_end_counting() }
        try body()
        return hft_end_counting()
    }

    @Test("The counter sees an object, an array that grows, and one of Foundation's")
    func countsAllocations() throws {
        final class Object {}
        var numbers: [Int] = []
        let objects = allocations { withExtendedLifetime(Object()) {} }
        let arrays = allocations { for number in 0..<100 { numbers.append(number) } }
        let data = allocations { withExtendedLifetime(Data(count: 1 << 16)) {} }
        if hft_counts_allocations() {
            // An optimised build may put the object on the stack.
            #if DEBUG
            #expect(objects == 1)
            #endif
            #expect(try #require(arrays) > 0)
            #expect(try #require(data) > 0)
        }
    }

    @Test("Taking and releasing a mutex that is free allocates nothing")
    func mutexAllocatesNothing() throws {
        let mutex = try MutexArena("\(directory)/arena", count: 1)[0]
        var last = MutexToken(0)
        let count = try allocations {
            for _ in 0..<1000 { try mutex.withLock { last = $0.token } }
        }
        #expect(count ?? 0 == 0)
        #expect(last.value > 0)
    }

    @Test("Reading a state that has not changed allocates nothing")
    func readAllocatesNothing() throws {
        let file = try StateFile<[UInt8]>("\(directory)/state", options: StateOptions(strategy: .twoSlot))
        try file.save([1, 2, 3])
        var reader = file.reader()
        _ = try reader.read()
        var sum = 0
        let count = try allocations {
            for _ in 0..<1000 { sum += try reader.read().count }
        }
        #expect(count ?? 0 == 0)
        #expect(sum >= 3000)
    }

    @Test("A save in two slots and a lock allocate as often the thousandth time as the tenth")
    func savesAllocateSteadily() throws {
        let file = try StateFile<[UInt8]>("\(directory)/state", options: StateOptions(strategy: .twoSlot))
        let payload = [UInt8](repeating: 7, count: 4096)
        let lock = try LockFile("\(directory)/lock")
        func save() throws { for _ in 0..<10 { try file.save(payload, durability: .processCrash) } }
        func take() throws { for _ in 0..<10 { try require(lock.tryLock()).release() } }
        let (saves, locks) = (try allocations(save), try allocations(take))
        for _ in 0..<100 {
            try save()
            try take()
        }
        #expect(try allocations(save) == saves)
        #expect(try allocations(take) == locks)
        print("allocations of a save in two slots: \((saves ?? 0) / 10), of a lock: \((locks ?? 0) / 10)")
    }

    #if os(Linux)
    @Test("Nothing that is hot calls the kernel")
    func callsNoKernel() async throws {
        guard hft_counts_allocations() else {
            print("NOT RUN: \(#function): a sanitizer calls the kernel by itself")
            return
        }
        await #expect(processExitsWith: .exitCode(0)) { [directory = directory as String] in
            let mutex = try MutexArena("\(directory)/arena", count: 1)[0]
            let file = try StateFile<[UInt8]>("\(directory)/state", options: StateOptions(strategy: .twoSlot))
            try block { try file.save([1, 2, 3]) }
            var reader = file.reader()
            func work() throws {
                try mutex.withLock { _ in }
                _ = try reader.read()
            }
            try work()
            guard hft_forbid_system_calls() == 0 else { throw SystemError(call: "seccomp", code: errno) }
            for _ in 0..<10_000 { try work() }
            hft_exit(0)
        }
    }

    @Test("A call of the kernel where none is allowed ends the process")
    func noticesCalls() async throws {
        await #expect(processExitsWith: .signal(SIGSYS)) {
            guard hft_forbid_system_calls() == 0 else { throw SystemError(call: "seccomp", code: errno) }
            _ = getppid()
            hft_exit(0)
        }
    }
    #endif
}
