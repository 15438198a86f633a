// SPDX-License-Identifier: Apache-2.0
//
// A saver in two slots as one might write it, and what is easily got wrong about it. Each has one name and one wrong step.

import Foundation
import HoldfastTesting

/// Saves and loads numbers in the two slots of `/state`, with one mistake or none.
enum CrashedSlots: String, CaseIterable, Sendable {
    /// Writes the slot of the older number, flushes it; a load flushes what it found.
    case sound
    /// Writes over the number that must stay until the new one is there.
    case writesNewerSlot
    /// Does not write the slots when it makes the file, so that a save changes its size, by which a load knows a whole file.
    case unwrittenSlots
    /// After a flush that failed a second one says that all is well.
    case flushAgain
    /// Acts upon what a process wrote that died before its flush.
    case trustingLoad

    /// What is found wrong with it.
    var violations: Set<CrashViolation.Kind> {
        switch self {
        case .sound: []
        case .writesNewerSlot: [.lost]
        case .flushAgain: [.lost, .unreadable]
        case .unwrittenSlots: [.unreadable]
        case .trustingLoad: [.takenBack]
        }
    }

    enum Note: Hashable, Sendable {
        case began(Int), saved(Int), reliedOn(Int)
    }

    private static let slot = 8192

    /// Explores two saves after numbers 1 and 2.
    func explore(_ explorer: CrashExplorer) throws -> CrashReport {
        try explorer.explore { (run: CrashRun<Note>) in
            let isShort = self == .unwrittenSlots
            try run.fileSystem.write("/state", (isShort ? [] : Self.padded(1)) + Self.padded(2))
            run.note(.saved(2))
        } workload: { run in
            if self == .flushAgain {
                run.fileSystem.faults = .failEvery(with: EIO, times: 1) { $0.function == "fdatasync" }
            }
            for number in 3...4 {
                run.note(.began(number))
                try save(number, on: run.fileSystem)
                run.note(.saved(number))
            }
        } recovery: { run in
            let found = try load(from: run.fileSystem)
            for note in run.notes {
                switch note {
                case .began: break
                case .saved(let number):
                    if found < number { throw CrashViolation(.lost, "\(found) is there, and \(number) was saved") }
                case .reliedOn(let number):
                    if found < number { throw CrashViolation(.takenBack, "\(found), and \(number) had been loaded") }
                }
            }
            if !run.notes.contains(.began(found)), found > 2 { throw CrashViolation(.neverSaved, "\(found)") }
            run.note(.reliedOn(found))
        }
    }

    private func save(_ number: Int, on fileSystem: SimulatedFileSystem) throws {
        let os = fileSystem.posix
        let file = try os.open("/state", .write)
        defer { try? os.close(file) }
        let newest = try slots(of: file, os).enumerated().max { $0.element < $1.element }?.offset ?? 0
        let target = self == .writesNewerSlot ? newest : 1 - newest
        let bytes = self == .unwrittenSlots ? Self.padded(number) : Self.record(number)
        try os.pwrite(file, bytes, at: Int64(target * Self.slot))
        do {
            try os.fdatasync(file)
        } catch {
            if self != .flushAgain { throw error }
            try os.fdatasync(file)
        }
    }

    private func load(from fileSystem: SimulatedFileSystem) throws -> Int {
        let os = fileSystem.posix
        let file = try os.open("/state", .write)
        defer { try? os.close(file) }
        let size = fileSystem.contents(of: "/state")?.count ?? 0
        guard size == 2 * Self.slot || (size == Self.slot && self == .unwrittenSlots) else {
            throw CrashViolation(.unreadable, "the file has \(size) bytes")
        }
        guard let newest = try slots(of: file, os).max(), newest > 0 else {
            throw CrashViolation(.unreadable, "neither slot is whole")
        }
        if self != .trustingLoad { try os.fdatasync(file) }
        return newest
    }

    /// The number in each slot, 0 if there is none.
    private func slots(of file: Int32, _ os: PosixCalls) throws -> [Int] {
        try [0, 1].map { index in
            let bytes = try os.pread(file, count: 600, at: Int64(index * Self.slot))
            let number = Int(String(decoding: bytes.prefix { $0 != 0x20 }, as: UTF8.self)) ?? 0
            return bytes == Self.record(number) ? number : 0
        }
    }

    /// The record, and zeros to the end of its slot.
    private static func padded(_ number: Int) -> [UInt8] {
        record(number) + Array(repeating: 0, count: slot - 600)
    }

    /// Two sectors by which a number is known to be whole.
    private static func record(_ number: Int) -> [UInt8] {
        let text = Array("\(number) ".utf8)
        return text + Array(repeating: UInt8(truncatingIfNeeded: 65 + number), count: 600 - text.count)
    }
}
