// SPDX-License-Identifier: Apache-2.0
//
// The directory's flush: that it happens, on which descriptor and when, and what a save says if it fails.

import Foundation
import Holdfast
import HoldfastTesting
import Testing
import _HoldfastCShims

@Suite
struct DirectorySyncTests {
    let fileSystem = SimulatedFileSystem()
    let directory: OpenDirectory

    init() throws {
        directory = try fileSystem.directory()
    }

    /// The number of the only call that matches.
    private func only(_ calls: [Call], _ matches: (Call) -> Bool) throws -> Int {
        let found = calls.indices.filter { matches(calls[$0]) }
        #expect(found.count == 1)
        return try #require(found.first)
    }

    @Test(
        "after a failed flush a state file does not believe a second one, for a durable load",
        arguments: [false, true]
    )
    func flushNotBelieved(isOnDirectory: Bool) throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let state = try directory.state()
        try state.save([1])
        let failOne = FaultPlan.failEvery(with: EIO, times: 1) {
            $0.function == "fsync" && $0.isOnDirectory == isOnDirectory
        }
        fileSystem.faults = failOne
        #expect(try stateError { _ = try state.load(durable: true) }.code == .notDurable)
        #expect(try stateError { _ = try state.load(durable: true) }.code == .notDurable)
        #expect(try state.load() == [1])
        try state.save([2])
        #expect(try state.load(durable: true) == [2])
        if isOnDirectory {
            fileSystem.faults = failOne
            #expect(try state.save([3]).directorySyncError != nil)
            #expect(try stateError { _ = try state.load(durable: true) }.code == .notDurable)
            try directory.state().save([4])
            #expect(try state.load(durable: true) == [4])
        }
    }

    @Test(
        """
        TC-80-1: a save opens the directory with O_DIRECTORY, fsyncs that descriptor after the rename, and closes it
        """,
        arguments: [false, true]
    )
    func directoryIsFlushed(keepsPrevious: Bool) throws {
        let state = try directory.state(options: StateOptions(keepsPrevious: keepsPrevious))
        for payload in [bytes("first"), bytes("second")] {
            fileSystem.resetCalls()
            try state.save(payload)
            let calls = fileSystem.calls
            let opened = try only(calls) { $0.function == "openat" && $0.name == "." }
            #expect(calls[opened].flags.contains("O_DIRECTORY") == (HF_HAS_O_DIRECTORY == 1))
            // Without the flag, fstat has to say that it is a directory.
            #expect(calls[opened].verifiesDirectory == (HF_HAS_O_DIRECTORY == 0))
            let descriptor = try #require(calls[opened].opened)
            let renamed = try only(calls) { $0.function == "renameat" && $0.newName == "state" }
            let flushed = try only(calls) { $0.function == "fsync" && $0.descriptor == descriptor }
            let closed = try only(calls) { $0.function == "close" && $0.descriptor == descriptor }
            #expect(opened < renamed && renamed < flushed && flushed < closed)
            #expect(calls[flushed].isOnDirectory)

            let created = try only(calls) { $0.flags.contains("O_EXCL") }
            let file = try #require(calls[created].opened)
            let written = try only(calls) { $0.function == "pwritev" && $0.descriptor == file }
            let synced = try only(calls) { $0.function == "fsync" && $0.descriptor == file }
            let shut = try only(calls) { $0.function == "close" && $0.descriptor == file }
            #expect(created < written && written < synced && synced < shut && shut < renamed)
            #expect(calls.count { $0.function == "fsync" } == 2, "no other flush, with a previous copy either")
        }
    }

    @Test("owner, mode and attributes are set before the file's flush")
    func metadataIsFlushed() throws {
        let state = try directory.state()
        try state.save([1])
        let file = try directory.open(directory.name("state"), .readWrite)
        try fileSystem.setPermissions(file.rawValue, 0o640)
        try fileSystem.setOwner(file.rawValue, owner: 7, group: 8)
        try fileSystem.setAttribute("user.note", of: file.rawValue, to: [1, 2])
        fileSystem.resetCalls()
        try state.save([2])
        let calls = fileSystem.calls
        let flushed = try #require(calls.firstIndex { $0.function == "fsync" })
        for function in ["fchown", "fchmod", "fsetxattr"] {
            #expect(try only(calls) { $0.function == function } < flushed, "\(function)")
        }
    }

    @Test("a save for process crashes only does not flush anything")
    func noFlush() throws {
        let state = try directory.state(options: StateOptions(durability: .processCrash))
        fileSystem.resetCalls()
        let commit = try state.save([1])
        #expect(commit.durability == .processCrash)
        #expect(commit.directorySyncError == nil)
        #expect(!fileSystem.calls.contains { $0.function == "fsync" || $0.function == "fdatasync" })
        #expect(try state.save([2], durability: .powerLoss).durability == .powerLoss)
    }

    @Test(
        "TC-80-4: a directory flush that fails does not fail the save, and the StateCommit says so",
        arguments: [EIO, EINVAL, ENOTSUP, ENOSPC]
    )
    func flushFails(code: Int32) throws {
        let state = try directory.state()
        try state.save(bytes("old"))
        fileSystem.faults = .failEvery(with: code) { $0.function == "fsync" && $0.isOnDirectory }
        let descriptors = fileSystem.openDescriptorCount
        let commit = try state.save(bytes("new"))
        #expect(commit.directorySyncError == SystemError(call: "fsync", code: code))
        #expect(commit.durability == .processCrash)
        #expect(commit.generation == 2)
        #expect(try state.load() == bytes("new"))
        #expect(fileSystem.openDescriptorCount == descriptors)
        fileSystem.faults = .none
        #expect(try state.save(bytes("newer")).durability == .powerLoss)
    }

    @Test("TC-80-4: if the directory flush is required, the save throws, and says that the new state is in place")
    func flushIsRequired() throws {
        let state = try directory.state(options: StateOptions(requiresDirectorySync: true))
        try state.save(bytes("old"))
        fileSystem.faults = .failEvery(with: EIO) { $0.function == "fsync" && $0.isOnDirectory }
        let error = try stateError { try state.save(bytes("new")) }
        #expect(error.code == .directoryNotSynced)
        #expect(error.cause == SystemError(call: "fsync", code: EIO))
        #expect(error.description.contains("new state is in place"))
        #expect(try state.load() == bytes("new"))
        #expect(try state.verify().generation == 2)
        #expect(try directory.temporaries().isEmpty)
        // A save that does not flush needs no flush.
        try state.save(bytes("newer"), durability: .processCrash)
    }

    @Test("a durable load flushes the file and the directory before it returns")
    func durableLoad() throws {
        let state = try directory.state()
        try state.save([5], durability: .processCrash)
        fileSystem.resetCalls()
        #expect(try state.load(durable: true) == [5])
        let flushes = fileSystem.calls.filter { $0.function == "fsync" }
        #expect(flushes.map(\.isOnDirectory) == [false, true])
        fileSystem.resetCalls()
        #expect(try state.load() == [5])
        #expect(fileSystem.calls.map(\.function) == ["openat", "fstat", "preadv", "close"])
        for onDirectory in [false, true] {
            fileSystem.faults = .failEvery(with: EIO) { $0.function == "fsync" && $0.isOnDirectory == onDirectory }
            let error = try stateError { _ = try directory.state().load(durable: true) }
            #expect(error.code == .notDurable)
            #expect(error.cause?.code == EIO)
        }
    }
}
