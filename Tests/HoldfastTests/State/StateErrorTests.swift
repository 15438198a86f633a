// SPDX-License-Identifier: Apache-2.0
//
// What a person reads when a save fails: what was done, to what, why not, what is true now, what to do.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite
struct StateErrorTests {
    static let sentences: [(Int32, String)] = [
        (ENOSPC, "The disk is full"), (EDQUOT, "quota"), (EROFS, "read-only"), (EXDEV, "different file systems"),
        (EBUSY, "mount point"), (EMFILE, "ulimit -n"), (ENFILE, "The system has no descriptor left"),
        (EACCES, "permission"), (EPERM, "permission"), (ENAMETOOLONG, "names as long"), (EIO, "kernel's log"),
    ]

    @Test("each failure that is met in practice has its sentence", arguments: sentences.indices)
    func advice(_ index: Int) throws {
        let (code, sentence) = Self.sentences[index]
        let fileSystem = SimulatedFileSystem()
        let state = try fileSystem.directory().state()
        try state.save([1])
        fileSystem.faults = .failEvery(with: code) { $0.function == "renameat" && $0.newName == "state" }
        let error = try stateError { try state.save([2]) }
        #expect(error.cause == SystemError(call: "renameat", code: code))
        #expect(error.description.hasPrefix("Saving /state failed: renameat: "))
        #expect(error.description.contains("(\(code)). The old state stands. "))
        #expect(error.description.contains(sentence), "\(error)")
    }

    @Test("an owner that this process may not give, and one without a number here, have their sentences")
    func owners() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let state = try directory.state()
        try state.save([1])
        let file = try directory.open(directory.name("state"), .readWrite)
        try fileSystem.setOwner(file.rawValue, owner: 1000, group: 1000)
        for (code, sentence) in [(EPERM, "another user or group"), (EINVAL, "no number in this user namespace")] {
            fileSystem.faults = .failEvery(with: code) { $0.function == "fchown" }
            let error = try stateError { try state.save([2]) }
            #expect(error.cause == SystemError(call: "fchown", code: code))
            #expect(error.description.contains(sentence), "\(error)")
        }
        #expect(try state.load() == [1])
    }

    @Test("a lock that is forbidden is explained once")
    func forbiddenLock() throws {
        let fileSystem = SimulatedFileSystem()
        let state = try fileSystem.directory().state()
        fileSystem.faults = .failEvery(with: EPERM) { $0.name == ".state.lock" }
        let error = try stateError { try state.save([1]) }
        #expect(error.code == .notLocked)
        #expect(error.description.split(separator: "is immutable or append-only").count == 2, "\(error)")
    }

    @Test("whole sentences")
    func descriptions() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let state = try directory.state()
        #expect(try stateError { _ = try state.load() }.description == "Loading /state failed: there is no such file.")
        try fileSystem.write("state", [0])
        #expect(
            try stateError { try state.save([]) }.description == """
                Saving /state failed: it is not the state that was saved: the file has 1 bytes, fewer than a header's 128. \
                The old state stands. Restore the previous copy if one is kept, or move the file away to begin anew; a \
                save never replaces a corrupt state.
                """
        )
        fileSystem.remove("state")
        try fileSystem.makeSymbolicLink("state", to: "x")
        #expect(
            try stateError { _ = try state.load() }.description
                == "Loading /state failed: it is a symbolic link, and a state is only kept in a regular file."
        )
        let missing = try stateError { _ = try StateFile<[UInt8]>("/no/such/place") }
        #expect(missing.code == .notRead)
        #expect(missing.cause?.code == ENOENT)
    }
}
