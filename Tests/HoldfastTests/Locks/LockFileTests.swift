// SPDX-License-Identifier: Apache-2.0
//
// The lock file on the real file system, within one process: open file descriptions exclude each other there too.

import Foundation
import Holdfast
import Testing

@Suite(.temporaryDirectory)
struct LockFileTests {
    private var path: String { TemporaryDirectory.current + "/a.lock" }

    @Test("An exclusive lock excludes all others, a shared one the exclusive ones")
    func exclusion() throws {
        let (first, second) = (try LockFile(path), try LockFile(path))
        let exclusive = try require(first.tryLock())
        try expectBusy(second.tryLock(.exclusive))
        try expectBusy(second.tryLock(.shared))
        try exclusive.release()
        let shared = try require(first.tryLock(.shared))
        let another = try require(second.tryLock(.shared))
        try expectBusy(second.tryLock(.exclusive))
        try shared.release()
        try expectBusy(first.tryLock(.exclusive))
        try another.release()
        try require(first.tryLock(.exclusive)).release()
    }

    @Test("Both families exclude among themselves", arguments: [LockFamily.flock, .openFileDescription])
    func families(family: LockFamily) throws {
        let (first, second) = (try LockFile(path, family: family), try LockFile(path, family: family))
        for _ in 0..<3 {
            let lock = try require(first.tryLock())
            try expectBusy(second.tryLock())
            try expectBusy(second.tryLock(.shared))
            try lock.release()
            let shared = try require(second.tryLock(.shared))
            try expectBusy(first.tryLock())
            try shared.release()
        }
    }

    @Test("A lock that goes out of scope is released, and not called abandoned")
    func scope() throws {
        let file = try LockFile(path)
        do {
            let lock = try require(file.tryLock())
            #expect(lock.token == FencingToken(1))
        }
        let next = try require(try LockFile(path).tryLock())
        #expect(next.abandoned == nil)
    }

    @Test("Line 1 of a held lock file is the PID alone, and blank after the release")
    func record() throws {
        let file = try LockFile(path, label: "the label")
        let lock = try require(file.tryLock())
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.split(separator: "\n").first == "\(getpid())")
        #expect(text.utf8.count == LockRecordLayout.size)
        #expect(text.contains("label=the label"))
        let status = try file.status()
        guard case .held(let holder) = status else { throw Failed("\(status)") }
        #expect(holder.pid == getpid())
        #expect(holder.record?.process == .current)
        #expect(holder.record?.label == "the label")
        try lock.release()
        let released = try String(contentsOfFile: path, encoding: .utf8)
        #expect(released.split(separator: "\n").first?.allSatisfy { $0 == " " } == true)
        #expect(try file.status() == .free)
    }

    @Test("A busy error names the holder and says that deleting the file would not help")
    func busyError() async throws {
        let file = try LockFile(path, label: "worker 7")
        let lock = try await file.lock()
        let error = await #expect(throws: LockError.self) {
            try await Task.detached { [path] in try await LockFile(path).lock(deadline: .now).release() }.value
        }
        #expect(error?.code == .timedOut)
        #expect(error?.holder?.pid == getpid())
        #expect(error?.description.contains("worker 7") == true)
        #expect(error?.description.contains("deleting") == true)
        try lock.release()
    }

    @Test(
        "A label of any kind leaves the record whole",
        arguments: ["", "a b = c label=x", "ü\n\t\u{0}", String(repeating: "é", count: 200)]
    )
    func labels(label: String) throws {
        let file = try LockFile(path, label: label)
        let lock = try require(file.tryLock())
        guard case .held(let holder) = try file.status() else { throw Failed("not held") }
        #expect(holder.record?.process == .current)
        try lock.release()
        #expect(try file.status() == .free)
    }

    @Test("Only one family may use a file, whichever comes first")
    func familyMismatch() throws {
        let (flock, range) = (try LockFile(path), try LockFile(path, family: .openFileDescription))
        let first = try require(flock.tryLock())
        // The first holder of a new file has both, so that its record cannot be raced.
        try expectBusy(range.tryLock())
        try first.release()
        for mode in [HeldLock.Mode.exclusive, .shared] {
            let error = #expect(throws: LockError.self) { try require(range.tryLock(mode)).release() }
            #expect(error?.code == .familyMismatch)
        }
        try require(flock.tryLock()).release()
    }

    @Test("What is no regular file is refused, and a symbolic link's target untouched")
    func refusals() throws {
        let target = TemporaryDirectory.current + "/target"
        try "untouched".write(toFile: target, atomically: false, encoding: .utf8)
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: target)
        try expectRefused(path)
        #expect(try String(contentsOfFile: target, encoding: .utf8) == "untouched")

        let fifo = TemporaryDirectory.current + "/fifo"
        let made = unsafe mkfifo(fifo, 0o600)
        try #require(made == 0)
        try expectRefused(fifo)
        try expectRefused("/dev/null")

        let directory = TemporaryDirectory.current + "/directory"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        try expectRefused(directory)
    }

    @Test("A path that is no name is an error", arguments: ["", "/", ".", "a/..", "a/", "a\u{0}b"])
    func badPaths(path: String) {
        #expect(throws: LockError.self) { try LockFile(path) }
    }

    @Test("A name that leaves no room for the companion is refused, not an accident later")
    func longNames() throws {
        let directory = try OpenDirectory(TemporaryDirectory.current)
        let long = try #require(FileName(String(repeating: "n", count: 249)))
        #expect(throws: LockError.self) { try LockFile(long, in: directory) }
        let fits = try #require(FileName(String(repeating: "n", count: 248)))
        try require(try LockFile(fits, in: directory).tryLock()).release()
    }

    @Test("Whoever locks after the file was replaced gets the new one; the holder can see that it was")
    func replacedFile() throws {
        let (first, second) = (try LockFile(path), try LockFile(path))
        let lock = try require(first.tryLock())
        #expect(try lock.isStillInPlace())
        try FileManager.default.removeItem(atPath: path)
        let other = try require(second.tryLock())
        #expect(try !lock.isStillInPlace())
        #expect(try other.isStillInPlace())
        try lock.release()
        // The first file's idle descriptor is of the deleted file: it must not be taken for the lock.
        try expectBusy(first.tryLock())
        try other.release()
        try require(first.tryLock()).release()
    }

    @Test(
        "Somebody's data is never overwritten",
        arguments: [
            "some data\n", String(repeating: "1", count: 5000), "12 13", "notes\nholdfast-lock is a thing\n",
            "12\nholdfast-lock is a thing\n", "100000000\nC 0 0 0\nH 1 0 0\n", "\(Processes.deadPID)\n\u{0}",
            String(repeating: "\u{0}", count: 513), String(repeating: " ", count: 513),
            "\(Processes.deadPID)\n" + String(repeating: "x", count: 3000), "\(Processes.deadPID)\u{2003}\n",
        ]
    )
    func foreignData(content: String) throws {
        try content.write(toFile: path, atomically: false, encoding: .utf8)
        let file = try LockFile(path)
        let error = #expect(throws: LockError.self) { try require(file.tryLock()).release() }
        #expect(error?.code == .refused)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == content)
        // A shared lock writes nothing.
        try require(file.tryLock(.shared)).release()
        #expect(try String(contentsOfFile: path, encoding: .utf8) == content)
    }

    @Test(
        "A file that is empty or holds a PID is taken over whole",
        arguments: [
            "", "\(Processes.deadPID)\n", "\(Processes.deadPID)\n" + String(repeating: " ", count: 3000),
            " \r\n\t\(Processes.deadPID)", String(repeating: "\u{0}", count: 512), "\n",
        ]
    )
    func foreignContent(content: String) throws {
        try content.write(toFile: path, atomically: false, encoding: .utf8)
        let lock = try require(try LockFile(path).tryLock())
        #expect(lock.abandoned == nil)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.utf8.count == LockRecordLayout.size)
        #expect(text.hasPrefix("\(getpid())\n"))
    }

    @Test("The bare PID of a process that lives is respected, and its file left alone")
    func barePID() throws {
        try Processes.withSleeper { pid in
            let text = "\(pid)\n"
            try text.write(toFile: path, atomically: false, encoding: .utf8)
            try expectBusy(LockFile(path).tryLock())
            try expectBusy(LockFile(path).tryLock(.shared))
            let error = #expect(throws: LockError.self) {
                try LockFile(path).lock(deadline: .now + .milliseconds(30)).release()
            }
            #expect(error?.code == .timedOut)
            #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
    }

    @Test("Who finds the other family's lock on a new file holds nothing itself", arguments: Ground.allCases)
    func otherFamilyOnNewFile(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let name = try directory.name("a.lock")
        let holder = try directory.open(name, .readWriteOrCreate(permissions: 0o600))
        #expect(try holder.tryLock(.openFileDescription, exclusive: true))
        let file = try LockFile(name, in: directory)
        try expectBusy(file.tryLock())
        let error = #expect(throws: LockError.self) { try file.lock(deadline: .now + .milliseconds(20)).release() }
        #expect(error?.code == .timedOut)
        let other = try directory.open(name, .readWrite)
        #expect(try other.tryLock(.flock, exclusive: true))
    }

    @Test("Data under the companion's name is never overwritten")
    func foreignCompanion() throws {
        let companion = TemporaryDirectory.current + "/.a.lock.guard"
        try "precious data".write(toFile: companion, atomically: false, encoding: .utf8)
        let error = #expect(throws: LockError.self) { try require(LockFile(path).tryLock()).release() }
        #expect(error?.code == .refused)
        #expect(try String(contentsOfFile: companion, encoding: .utf8) == "precious data")
    }

    @Test("What another process calls itself cannot move a terminal's cursor")
    func forgedLabel() throws {
        let directory = try OpenDirectory(TemporaryDirectory.current)
        var process = ProcessIdentity.current
        process.pid = Processes.deadPID
        try directory.writeRecord(of: process, to: "a.lock", label: "x\u{7f}\u{9b}31m\u{202e}")
        guard case .abandoned(let record) = try LockFile(path).status() else { throw Failed("not abandoned") }
        #expect(record.label == "x??31m?")
    }

    @Test("In a task withLock means the form that suspends, whatever its body does")
    func withLockInATask() async throws {
        let file = try LockFile(path)
        let token = try await file.withLock { lock in lock.token }
        #expect(token == FencingToken(1))
        let held = KeptLock(try await file.lock())
        // The blocking form would hold a cooperative thread; with all of them held, nothing would release the lock.
        let waiters = (0..<16).map { _ in Task { try await file.withLock { lock in lock.token } } }
        try await waitUntil { file.site.waitingCount == 16 }
        try held.release()
        for waiter in waiters { #expect(try await waiter.value.value > 0) }
    }

    @Test("No descriptor is left open by locks that came to nothing")
    func descriptors() throws {
        let file = try LockFile(path)
        try require(file.tryLock()).release()
        let before = Processes.openDescriptors(below: TemporaryDirectory.current)
        for _ in 0..<20 {
            let lock = try require(file.tryLock())
            try expectBusy(try LockFile(path).tryLock())
            try expectBusy(file.tryLock(.shared))
            try lock.release()
            try require(file.tryLock(.shared)).release()
        }
        #expect(before > 0)
        #expect(Processes.openDescriptors(below: TemporaryDirectory.current) == before)
    }

    private func expectRefused(_ path: String) throws {
        let error = #expect(throws: LockError.self) { try require(try LockFile(path).tryLock()).release() }
        #expect(error?.code == .refused)
        #expect(throws: LockError.self) { try LockFile(path).status() }
    }
}

struct Failed: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// The lock of an attempt that must succeed.
func require(_ attempt: consuming HeldLock.Attempt) throws -> HeldLock {
    switch consume attempt {
    case .acquired(let lock): return lock
    case .busy(let holder): throw Failed("busy: \(holder)")
    }
}

/// An attempt that must find the lock busy.
func expectBusy(_ attempt: consuming HeldLock.Attempt, sourceLocation: SourceLocation = #_sourceLocation) throws {
    if case .acquired = consume attempt { Issue.record("the lock was not busy", sourceLocation: sourceLocation) }
}
