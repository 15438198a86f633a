// SPDX-License-Identifier: Apache-2.0
//
// A saver by rename as one finds it in many programs, and its well-known mistakes. Each has one name and one wrong step.

import Foundation
import HoldfastTesting

/// Saves and loads text in `/state`, with one mistake or none.
enum CrashedSaver: String, CaseIterable, Sendable {
    /// Write beside, flush, rename, flush the directory.
    case sound
    /// The rename may be on the device before the bytes.
    case noFileFlush
    /// The rename may not be on the device at all.
    case noDirectoryFlush
    /// The bytes are flushed too late.
    case renameBeforeFlush
    /// Between the two calls there is no file.
    case unlinkAndLink
    /// Two files cannot change at once.
    case checksumInSideFile
    /// Truncates the only copy, then writes it.
    case inPlace
    /// After a flush that failed a second one says that all is well.
    case flushAgain

    /// What is found wrong with it.
    var violations: Set<CrashViolation.Kind> {
        switch self {
        case .sound: []
        case .noDirectoryFlush, .unlinkAndLink: [.lost]
        case .noFileFlush, .renameBeforeFlush, .inPlace, .flushAgain: [.neverSaved]
        case .checksumInSideFile: [.unreadable]
        }
    }

    /// The second flush of a file fails.
    var faults: FaultPlan {
        .failEvery(with: EIO, after: 1, times: 1) { $0.function == "fsync" && $0.path?.hasSuffix(".tmp") == true }
    }

    static let texts = ["version 1", "version 2, which is longer", "version 3"]

    func save(_ text: String, on fileSystem: SimulatedFileSystem) throws {
        let os = fileSystem.posix
        switch self {
        case .inPlace:
            let file = try os.open("/state", [.create, .truncate])
            try write(text, to: file, os)
            try os.fsync(file)
            try os.close(file)
        case .checksumInSideFile:
            try replace("/state.sum", by: "\(Self.sum(text))", os)
            try replace("/state", by: text, os)
        default: try replace("/state", by: text, os)
        }
        if self != .noDirectoryFlush {
            let directory = try os.open("/")
            try os.fsync(directory)
            try os.close(directory)
        }
    }

    private func replace(_ path: String, by text: String, _ os: PosixCalls) throws {
        let file = try os.open("\(path).tmp", [.create, .truncate])
        try write(text, to: file, os)
        switch self {
        case .noFileFlush, .renameBeforeFlush: break
        case .flushAgain: do { try os.fsync(file) } catch { try os.fsync(file) }
        default: try os.fsync(file)
        }
        if self == .unlinkAndLink {
            try? os.unlink(path)
            try os.link("\(path).tmp", path)
            try os.unlink("\(path).tmp")
        } else {
            try os.rename("\(path).tmp", path)
        }
        if self == .renameBeforeFlush { try os.fsync(file) }
        try os.close(file)
    }

    private func write(_ text: String, to file: Int32, _ os: PosixCalls) throws {
        try os.pwrite(file, Array(text.utf8), at: 0)
    }

    func load(from fileSystem: SimulatedFileSystem) throws -> String? {
        guard let text = fileSystem.contents(of: "/state").map({ String(decoding: $0, as: UTF8.self) }) else {
            return nil
        }
        if self == .checksumInSideFile {
            let sum = fileSystem.contents(of: "/state.sum").map { String(decoding: $0, as: UTF8.self) }
            if sum != "\(Self.sum(text))" { throw Mismatch() }
        }
        return text
    }

    struct Mismatch: Error {}

    private static func sum(_ text: String) -> Int {
        text.utf8.reduce(7) { ($0 &* 31 &+ Int($1)) & 0xFFFF_FFFF }
    }
}
