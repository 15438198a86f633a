// SPDX-License-Identifier: Apache-2.0
//
// What happened to the files, in order: changes on their way to the device, flushes, and what the program under test
// noted. What a crash may leave is computed from this alone, so the program runs once however many crashes are tried.

internal import Holdfast

/// The files as they were on the device, and everything since.
struct ChangeLog: Sendable {
    enum Event: Sendable {
        /// A change that a call made, by the call's index; nil for another process's.
        case change(Change, call: Int?)
        /// A flush of this file or directory that went well.
        case flush(UInt64, onlyData: Bool, call: Int?)
        /// A flush that failed: what it should have written is never written by a later one.
        case failedFlush(UInt64, call: Int?)
        /// The program noted something.
        case note(Int)
    }

    /// What the device held at the beginning.
    let base: Volume
    let sectorSize: Int
    private(set) var calls: [Call] = []
    private(set) var events: [Event] = []
    private var current: Int?

    init(_ base: Volume, sectorSize: Int) {
        self.base = base
        self.sectorSize = sectorSize
    }

    /// What the log was when so many events had happened.
    func prefix(_ position: Int) -> ChangeLog {
        var log = self
        log.events.removeLast(events.count - position)
        log.current = nil
        return log
    }

    /// How many flushes had failed.
    func failedFlushes(before position: Int) -> Int {
        events[..<position].count { if case .failedFlush = $0 { true } else { false } }
    }

    mutating func begin(_ call: Call) {
        current = calls.count
        calls.append(call)
    }

    mutating func end(_ call: Call?) {
        guard let call, let index = current else { return }
        calls[index] = call
        current = nil
    }

    /// Notes changes; stores into mapped memory were made by no call.
    mutating func append(_ changes: [Change]) {
        for change in changes { events.append(.change(change, call: change.isWord ? nil : current)) }
    }

    mutating func flush(_ inode: UInt64, onlyData: Bool) {
        events.append(.flush(inode, onlyData: onlyData, call: current))
    }

    mutating func failFlush(of inode: UInt64) {
        events.append(.failedFlush(inode, call: current))
    }

    mutating func note(_ note: Int) {
        events.append(.note(note))
    }
}
