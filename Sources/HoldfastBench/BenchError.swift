// SPDX-License-Identifier: Apache-2.0
//
// Why nothing could be measured.

/// Why nothing could be measured, in a sentence.
public struct BenchError: Error, CustomStringConvertible {
    /// The sentence, without a full stop.
    public let description: String

    /// - Parameter description: The sentence, without a full stop.
    public init(_ description: String) { self.description = description }
}
