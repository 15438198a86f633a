// SPDX-License-Identifier: Apache-2.0
//
// A process that runs out of descriptors: at each number of free ones a save works or says that it did not.

import Foundation
import Holdfast
import Testing
import _HoldfastCShims

@Suite(.temporaryDirectory)
struct DescriptorLimitTests {
    @Test("with few descriptors left a save works or fails cleanly (EMFILE)", arguments: [false, true])
    func fewDescriptors(isFirstSave: Bool) async throws {
        // A process of its own, because the limit is the process's.
        await #expect(processExitsWith: .success) {
            [path = TemporaryDirectory.current as String, isFirstSave = isFirstSave as Bool] in
            let directory = try OpenDirectory(path)
            let known = try directory.state()
            try save([100], known)
            var limit = rlimit(rlim_cur: 64, rlim_max: 64)
            let limited = unsafe setrlimit(__rlimit_resource_t(7), &limit)  // RLIMIT_NOFILE
            #expect(limited == 0)
            var value: UInt8 = 100
            var isSaved: [Bool] = []
            for free in 0...6 {
                // The first save also lists the directory.
                let state = isFirstSave ? try directory.state() : known
                var filled: [Int32] = []
                while let next = Optional(dup(0)), next >= 0 { filled.append(next) }
                for descriptor in filled.suffix(free) { close(descriptor) }
                var failure: StateError?
                do throws(StateError) { try save([UInt8(free)], state) } catch { failure = error }
                for descriptor in filled.dropLast(free) { close(descriptor) }

                if let failure {
                    #expect(failure.cause?.code == EMFILE, "\(failure)")
                    #expect(failure.description.contains("ulimit -n"))
                } else {
                    value = UInt8(free)
                }
                isSaved.append(failure == nil)
                #expect(try load(state) == [value], "with \(free) free")
                #expect(try directory.temporaries().isEmpty, "with \(free) free")
            }
            // The lock, the directory and the new file are open together.
            #expect(isSaved == [false, false, false, true, true, true, true])
        }
    }
}

/// As a thread outside tasks does it: no other thread has a part in it.
private func save(_ bytes: [UInt8], _ state: StateFile<[UInt8]>) throws(StateError) {
    try state.save(bytes)
}

private func load(_ state: StateFile<[UInt8]>) throws(StateError) -> [UInt8] {
    try state.load()
}
