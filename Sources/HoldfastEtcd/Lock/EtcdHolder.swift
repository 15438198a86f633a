// SPDX-License-Identifier: Apache-2.0
//
// Who holds a lock, for messages and for an operator.

#if Etcd
#if canImport(FoundationEssentials)
internal import FoundationEssentials
#else
internal import Foundation
#endif
internal import Holdfast
internal import SwiftProtobuf
internal import _HoldfastCShims

/// Who holds or held a lock, by what it recorded about itself.
public struct EtcdHolder: Hashable, Sendable, CustomStringConvertible {
    /// What the holder calls itself; empty if its record cannot be read.
    public let label: String
    /// The name of its host; empty if its record cannot be read.
    public let host: String
    /// Its PID on its host, in its PID namespace; 0 if its record cannot be read.
    public let pid: Int32
    /// When it asked for the lock, in milliseconds since 1970 by its own clock.
    public let since: UInt64

    init(_ record: Etcdserverpb_HolderRecord) {
        label = record.label
        host = record.host
        pid = record.pid
        since = record.since
    }

    init(record bytes: some Sequence<UInt8>) {
        self.init((try? Etcdserverpb_HolderRecord(serializedBytes: Array(bytes))) ?? .init())
    }

    /// For example `nightly (process 1234 on host-7, since 2026-02-03T04:05:06Z)`.
    public var description: String {
        if pid == 0 { return "a holder whose record cannot be read" }
        return "\(Self.plain(label)) (process \(pid) on \(Self.plain(host)), since \(utcTime(since)))"
    }

    /// A text of another process, for messages: nothing in it moves a terminal's cursor or begins a line.
    private static func plain(_ text: String) -> String {
        String(
            String.UnicodeScalarView(text.unicodeScalars.map { $0.properties.generalCategory == .control ? "?" : $0 })
        )
    }
}

extension Etcdserverpb_HolderRecord {
    /// The record of an acquisition by this process.
    static func ofThisProcess(label: String?) -> Self {
        let pid = ProcessIdentity.current.pid
        return .with {
            $0.label = label ?? ProcessIdentity.name(of: pid) ?? "process"
            $0.host = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
                guard let start = text.baseAddress, unsafe gethostname(start, text.count) == 0 else { return "unknown" }
                unsafe text[text.count - 1] = 0
                return unsafe String(cString: start)
            }
            $0.pid = pid
            var time = timespec()
            unsafe clock_gettime(CLOCK_REALTIME, &time)
            $0.since = UInt64(time.tv_sec) * 1000 + UInt64(time.tv_nsec) / 1_000_000
        }
    }
}
#endif
