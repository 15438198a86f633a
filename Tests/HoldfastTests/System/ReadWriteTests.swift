// SPDX-License-Identifier: Apache-2.0
//
// preadv(2), pwritev(2) and ftruncate(2), and the loops over them.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory)
struct ReadWriteTests {
    /// Writes two pieces and reads them back split elsewhere.
    private func roundTrip(_ first: [UInt8], _ second: [UInt8], _ split: Int, _ file: borrowing Descriptor) throws
        -> Bool
    {
        var (head, tail) = ([UInt8](repeating: 7, count: split), [UInt8](repeating: 7, count: 10_000 - split))
        unsafe try first.withUnsafeBytes { first in
            unsafe try second.withUnsafeBytes { second in try unsafe file.writeAll(first, second, at: 3) }
        }
        let count = unsafe try head.withUnsafeMutableBytes { head in
            unsafe try tail.withUnsafeMutableBytes { tail in try unsafe file.readAll(into: head, tail, at: 3) }
        }
        return count == first.count + second.count && Array((head + tail).prefix(count)) == first + second
    }

    @Test(arguments: Ground.allCases, [0, 1, 100, 5000, 10_000])
    func twoPiecesAreOneTransfer(_ ground: Ground, _ split: Int) throws {
        let file = try ground.makeDirectory().openUnnamed()
        let bytes = (0..<4000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for middle in [0, 1, 128, 3999, 4000] {
            #expect(try roundTrip(Array(bytes[..<middle]), Array(bytes[middle...]), split, file))
        }
        #expect(try file.status().size == 4003)
    }

    @Test(arguments: Ground.allCases)
    func gapsReadAsZeros(_ ground: Ground) throws {
        let file = try ground.makeDirectory().openUnnamed()
        try file.write("a")
        try file.write("z", at: 5000)
        #expect(try file.status().size == 5001)
        let text = try file.read()
        #expect(text == "a" + String(repeating: "\0", count: 4999) + "z")
        try file.truncate(to: 1)
        try file.truncate(to: 3)
        #expect(try file.read() == "a\0\0", "what was cut off does not come back")
        #expect(try file.read(at: 3) == "")
        #expect(try file.read(at: 100) == "")
    }

    @Test(arguments: Ground.allCases)
    func badPositionsAreErrors(_ ground: Ground) throws {
        let file = try ground.makeDirectory().openUnnamed()
        #expect(try errnoLeft { try file.write("a", at: -1) } == EINVAL)
        #expect(try errnoLeft { _ = try file.read(at: -1) } == EINVAL)
        #expect(try errnoLeft { try file.truncate(to: -1) } == EINVAL)
        #expect(try file.status().size == 0)
    }

    @Test(arguments: Ground.allCases)
    func aReaderCannotTruncate(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("file", "text")
        let file = try directory.open(directory.name("file"), .read)
        #expect(try errnoLeft { try file.truncate(to: 0) } == EINVAL)
        #expect(try file.read() == "text")
    }

    @Test(arguments: Ground.allCases)
    func filesAndDirectoriesCanBeFlushed(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.makeFIFO("fifo")
        let file = try directory.openUnnamed()
        for kind in [.full, .data, .barrier] as [SyncKind] {
            try file.sync(kind)
            try directory.openItself().sync(kind)
            let fifo = try directory.open(directory.name("fifo"), .read)
            #expect(try errnoLeft { try fifo.sync(kind) } == EINVAL)
        }
    }
}

/// The loops, which only a file system that is made to be slow shows.
@Suite
struct TransferLoopTests {
    let fileSystem = SimulatedFileSystem()

    @Test
    func aWriteOfFewBytesAtATimeIsContinued() throws {
        let file = try fileSystem.directory().open(FileName("file"), .createNew(permissions: 0o600))
        let (first, second) = ([UInt8](1...10), [UInt8](11...30))
        fileSystem.resetCalls()
        fileSystem.faults = (1...6).reduce(.none) { $0.and(.shortWrite(call: $1, bytes: 4)) }
        unsafe try first.withUnsafeBytes { first in
            unsafe try second.withUnsafeBytes { second in try unsafe file.writeAll(first, second) }
        }
        #expect(fileSystem.contents(of: "file") == first + second)
        #expect(fileSystem.calls.map(\.result) == [4, 4, 4, 4, 4, 4, 6])
    }

    @Test
    func aWriteThatWritesNothingEnds() throws {
        let file = try fileSystem.directory().open(FileName("file"), .createNew(permissions: 0o600))
        fileSystem.faults = .shortWrite(call: 2, bytes: 0).and(.shortWrite(call: 1, bytes: 2))
        #expect(throws: SystemError(call: "pwritev", code: ENOSPC)) { try file.write("text") }
        #expect(fileSystem.contents(of: "file") == Array("te".utf8))
    }

    @Test
    func interruptedCallsAreRepeated() throws {
        for trial in FaultTrials(.failure(EINTR)) {
            let outcome = trial.run {
                let directory = try trial.fileSystem.directory()
                let file = try directory.open(directory.name("file"), .createNew(permissions: 0o600))
                try file.write("text")
                try file.truncate(to: 3)
                try file.sync(.full)
                #expect(try file.tryLock(.flock, exclusive: true))
                try directory.link(directory.name("file"), to: directory.name("other"))
                try directory.rename(directory.name("other"), to: directory.name("third"), replacing: true)
                try directory.unlink(directory.name("third"))
                #expect(try directory.names() == ["file"])
                #expect(try directory.has("file"))
                #expect(try file.read() == "tex")
            }
            #expect(throws: Never.self, "\(trial)") { try outcome.get() }
        }
    }

    /// Linux has closed it all the same; whoever closes again may close what another thread has opened since.
    @Test
    func anInterruptedCloseIsNotRepeated() throws {
        let file = try fileSystem.directory().openUnnamed()
        fileSystem.resetCalls()
        fileSystem.faults = .fail(call: 1, with: EINTR)
        do {
            try file.close()
            Issue.record("it was not reported")
        } catch {
            #expect(error == SystemError(call: "close", code: EINTR))
        }
        #expect(fileSystem.calls.map(\.function).filter { $0 == "close" }.count == 1)
        #expect(fileSystem.openDescriptorCount == 0)
    }
}
