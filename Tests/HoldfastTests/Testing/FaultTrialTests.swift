// SPDX-License-Identifier: Apache-2.0
//
// The fault loop: that it fails every call once, sees what is left behind, and ends.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite
struct FaultTrialTests {
    /// Writes a file beside another and renames it over; `isTidy` removes the temporary one if that fails.
    private func replace(_ text: String, in directory: OpenDirectory, isTidy: Bool) throws {
        let (name, temporary) = (try directory.name("state"), try directory.name("state.tmp"))
        let file = try directory.open(temporary, .createNew(permissions: 0o600))
        do {
            try file.write(text)
            try file.sync(.full)
            try directory.rename(temporary, to: name, replacing: true)
        } catch {
            if isTidy { try? directory.unlink(temporary) }
            throw error
        }
    }

    @Test
    func everyCallGoesWrongOnce() throws {
        var faulted: [String] = []
        var isComplete = false
        for trial in FaultTrials(.failure(EIO)) {
            let directory = try trial.fileSystem.directory()
            try replace("old", in: directory, isTidy: true)
            let before = trial.fileSystem.openDescriptorCount
            let outcome = trial.run { try replace("new", in: directory, isTidy: true) }
            #expect(trial.fileSystem.openDescriptorCount == before, "\(trial)")
            #expect(trial.fileSystem.names(in: "/") == ["state"], "\(trial)")
            let renamed = trial.calls.contains { $0.function == "renameat" && $0.failure == nil }
            #expect(try directory.read("state") == (renamed ? "new" : "old"), "\(trial)")
            if let call = trial.faultedCall {
                #expect(call == trial.calls[trial.call - 1])
                #expect(call.failure == EIO)
                faulted.append(call.function)
            } else {
                isComplete = true
                _ = try outcome.get()
            }
        }
        #expect(faulted == ["openat", "pwritev", "fsync", "renameat", "close"])
        #expect(isComplete)
    }

    /// The loop is of use only if it catches what it is for.
    @Test
    func whatIsLeftBehindIsSeen() throws {
        var left: [String] = []
        for trial in FaultTrials(.failure(ENOSPC)) {
            let directory = try trial.fileSystem.directory()
            _ = trial.run { try replace("new", in: directory, isTidy: false) }
            if trial.fileSystem.names(in: "/")?.contains("state.tmp") == true {
                left.append(try #require(trial.faultedCall).function)
            }
        }
        #expect(left == ["pwritev", "fsync", "renameat"])
    }

    @Test
    func shortWritesAreContinued() throws {
        var shortened = 0
        for trial in FaultTrials(.shortWrite(bytes: 1), .failure(EINTR)) {
            let directory = try trial.fileSystem.directory()
            let outcome = trial.run { try directory.write("state", "a text of some length") }
            _ = try outcome.get()
            #expect(try directory.read("state") == "a text of some length", "\(trial)")
            if trial.faultedCall?.result == 1 { shortened += 1 }
        }
        #expect(shortened == 1)
    }

    @Test
    func lastingFaultsFailWhatComesAfter() throws {
        for trial in FaultTrials(.lastingFailure(EROFS)) {
            let directory = try trial.fileSystem.directory()
            _ = trial.run { try replace("new", in: directory, isTidy: true) }
            let failed = trial.calls.map { $0.failure == EROFS }
            #expect(failed == trial.calls.indices.map { $0 >= trial.call - 1 }, "\(trial)")
            #expect(trial.fileSystem.openDescriptorCount == 1, "closed in spite of the failure: \(trial)")
        }
    }

    @Test
    func worksForAsynchronousWork() async throws {
        var trials = 0
        for trial in FaultTrials([.failure(EIO), .failure(ENOSPC)]) {
            let directory = try trial.fileSystem.directory()
            let outcome = await trial.run { () async throws in
                await Task.yield()
                try replace("new", in: directory, isTidy: true)
            }
            trials += 1
            if trial.faultedCall == nil { _ = try outcome.get() }
        }
        #expect(trials == 12)
    }

    @Test
    func workThatGoesOnForEverEndsTheProcess() async {
        await #expect(processExitsWith: .failure) {
            for trial in FaultTrials(.lastingFailure(EIO), limit: 100) {
                _ = trial.run { while (try? trial.fileSystem.directory()) == nil {} }
            }
            exit(EXIT_SUCCESS)
        }
    }

    /// A loop whose body forgets to run the work would pass whatever the work does.
    @Test
    func aTrialThatDoesNotRunEndsTheProcess() async {
        await #expect(processExitsWith: .failure) {
            for _ in FaultTrials(.failure(EIO)) {}
        }
    }
}
