// SPDX-License-Identifier: Apache-2.0
//
// What is open and what is locked, for tests that nothing is left behind.

public import Holdfast

/// A lock that an open file of a ``SimulatedFileSystem`` holds.
public struct SimulatedLock: Hashable, Sendable, CustomStringConvertible {
    /// The path at which its file was opened.
    public let path: String
    /// The descriptor whose description holds it.
    public let descriptor: Int32
    /// Its family.
    public let family: LockFamily
    /// Whether it shuts out every other lock, or only exclusive ones.
    public let isExclusive: Bool

    /// For example `exclusive flock on /service.lock (1003)`.
    public var description: String {
        let family = family == .flock ? "flock" : "open-file-description lock"
        return "\(isExclusive ? "exclusive" : "shared") \(family) on \(path) (\(descriptor))"
    }
}

extension SimulatedFileSystem {
    /// How many descriptors are open, directories included.
    public var openDescriptorCount: Int {
        withState { $0.open.count }
    }

    /// The locks on whole files that are held, in the order of their descriptors.
    public var heldLocks: [SimulatedLock] {
        withState { state in
            state.open.sorted { $0.key < $1.key }.flatMap { descriptor, file in
                let whole = file.ranges.first { $0.range == wholeFile }
                return [(LockFamily.flock, file.flock), (.openFileDescription, whole?.mode)].compactMap {
                    family,
                    mode in
                    mode.map {
                        SimulatedLock(
                            path: file.path,
                            descriptor: descriptor,
                            family: family,
                            isExclusive: $0 == .exclusive
                        )
                    }
                }
            }
        }
    }
}
