// SPDX-License-Identifier: Apache-2.0
//
// The few requests that this module makes, as phrases.

#if Etcd
internal import SwiftProtobuf
#if canImport(FoundationEssentials)
internal import FoundationEssentials
#else
internal import Foundation
#endif

typealias Txn = Etcdserverpb_TxnRequest

extension Etcdserverpb_Compare {
    /// The key was created at this revision; 0: it does not exist.
    static func created(_ key: [UInt8], at revision: Int64) -> Self {
        .with {
            $0.subject = .create
            $0.key = Data(key)
            $0.createRevision = revision
        }
    }

    /// No key begins with this prefix.
    static func nothing(below prefix: [UInt8]) -> Self {
        .with {
            $0.subject = .create
            $0.key = Data(prefix)
            $0.end = endOfRange(prefix)
            $0.createRevision = 0
        }
    }

    /// The key was last changed at this revision; 0: it does not exist.
    static func changed(_ key: [UInt8], at revision: Int64) -> Self {
        .with {
            $0.subject = .mod
            $0.key = Data(key)
            $0.modRevision = revision
        }
    }

    /// The key exists, and its value is greater than this, byte by byte.
    static func value(of key: [UInt8], isGreaterThan value: [UInt8]) -> Self {
        .with {
            $0.subject = .value
            $0.relation = .greater
            $0.key = Data(key)
            $0.value = Data(value)
        }
    }
}

extension Etcdserverpb_Request {
    static func put(_ key: [UInt8], _ value: [UInt8], lease: Int64 = 0) -> Self {
        .with {
            $0.put = .with {
                $0.key = Data(key)
                $0.value = Data(value)
                $0.lease = lease
            }
        }
    }

    static func get(_ key: [UInt8]) -> Self { .with { $0.range = .get(key) } }
    static func get(_ range: Etcdserverpb_RangeRequest) -> Self { .with { $0.range = range } }
    static func delete(_ key: [UInt8]) -> Self { .with { $0.delete = .with { $0.key = Data(key) } } }

    static func delete(below prefix: [UInt8]) -> Self {
        .with {
            $0.delete = .with {
                $0.key = Data(prefix)
                $0.end = endOfRange(prefix)
            }
        }
    }

    static func txn(if compare: [Etcdserverpb_Compare], then success: [Self], else failure: [Self]) -> Self {
        .with { $0.txn = .init(if: compare, then: success, else: failure) }
    }
}

extension Etcdserverpb_TxnRequest {
    init(
        if compare: [Etcdserverpb_Compare],
        then success: [Etcdserverpb_Request],
        else failure: [Etcdserverpb_Request] = []
    ) {
        self.init()
        self.compare = compare
        self.success = success
        self.failure = failure
    }
}

extension Etcdserverpb_RangeRequest {
    static func get(_ key: [UInt8]) -> Self { .with { $0.key = Data(key) } }

    /// The keys below the prefix that were created last.
    static func newest(_ count: Int64, below prefix: [UInt8]) -> Self {
        .with {
            $0.key = Data(prefix)
            $0.end = endOfRange(prefix)
            $0.by = .create
            $0.order = .descending
            $0.limit = count
        }
    }

    /// The key below the prefix that was created first.
    static func oldest(below prefix: [UInt8]) -> Self {
        .with {
            $0.key = Data(prefix)
            $0.end = endOfRange(prefix)
            $0.by = .create
            $0.order = .ascending
            $0.limit = 1
        }
    }

    /// The key below the prefix that was created last before a revision.
    static func last(below prefix: [UInt8], createdBefore revision: Int64) -> Self {
        .with {
            $0.key = Data(prefix)
            $0.end = endOfRange(prefix)
            $0.maxCreateRevision = revision - 1
            $0.by = .create
            $0.order = .descending
            $0.limit = 1
        }
    }
}

extension Etcdserverpb_WatchCreate {
    static func deletions(of key: [UInt8], from revision: Int64) -> Self {
        .with {
            $0.key = Data(key)
            $0.startRevision = revision
            $0.filters = [.noPut]
        }
    }
}

/// The end of the range of the keys that begin with a prefix, which ends with `/`.
private func endOfRange(_ prefix: [UInt8]) -> Data {
    var end = prefix
    end[end.count - 1] += 1
    return Data(end)
}

/// A number as bytes whose order is that of the numbers.
func bigEndian(_ value: UInt64) -> [UInt8] { (0..<8).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) } }
#endif
