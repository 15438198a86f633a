// SPDX-License-Identifier: Apache-2.0
//
// A directory on the real file system for each test case, removed when the case ends.

import Foundation
import Testing

/// Gives every test case an empty directory of its own: `@Suite(.temporaryDirectory)`.
///
/// It stands below `TMPDIR`, or /tmp.
struct TemporaryDirectory: TestTrait, SuiteTrait, TestScoping {
    /// The path of the running test case's directory.
    @TaskLocal static var current = ""

    var isRecursive: Bool { true }

    func provideScope(
        for test: Test,
        testCase: Test.Case?,
        performing function: @concurrent @Sendable () async throws -> Void
    ) async throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "holdfast-\(UUID().uuidString)").path
        let attributes: [FileAttributeKey: Any] = [.posixPermissions: 0o700]
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: false,
            attributes: attributes
        )
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await Self.$current.withValue(path) { try await function() }
    }
}

extension Trait where Self == TemporaryDirectory {
    static var temporaryDirectory: Self { Self() }
}
