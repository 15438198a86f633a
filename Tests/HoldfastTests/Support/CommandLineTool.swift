// SPDX-License-Identifier: Apache-2.0
//
// The built command line tool, run as a stranger would run it: any standard stream closed, any signal sent. Invariant: no
// process outlives the value that stands for it.

import Foundation
import Testing

/// A program that a test runs.
struct CommandLineTool: Sendable {
    /// The program and the arguments that always come first.
    let command: [String]

    /// `holdfastctl`, which the build puts beside the test program.
    static let holdfastctl = CommandLineTool(command: [sibling("holdfastctl")])

    /// A program found along PATH.
    static func named(_ name: String) -> CommandLineTool { CommandLineTool(command: ["/usr/bin/env", name]) }

    /// The same, run as a user who may do nothing special: root is not stopped by permissions.
    func asNobody() -> CommandLineTool {
        if geteuid() != 0 { return self }
        let drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
        return CommandLineTool(command: ["/usr/bin/env"] + drop + command)
    }

    /// Whether ``asNobody()`` can reach the tool, which may stand below a directory that is root's alone.
    static let canRunAsNobody: Bool = {
        let check = holdfastctl.asNobody().command + ["--version"]
        return (try? Child(check[0], Array(check.dropFirst())))?.wait() == 0
    }()

    /// The path of a program that the build puts beside the test program.
    static func sibling(_ name: String) -> String {
        #if canImport(Darwin)
        let bundle = Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") } ?? .main
        return bundle.bundleURL.deletingLastPathComponent().appending(path: name).path
        #else
        let program = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return URL(filePath: program).deletingLastPathComponent().appending(path: name).path
        #endif
    }

    /// The same in namespaces of its own, or nil after a note if that is not permitted.
    ///
    /// - Parameter options: Of unshare(1).
    /// - Returns: The tool that runs there.
    func unshared(_ options: String...) -> CommandLineTool? {
        let prefix = ["/usr/bin/env", "unshare"] + options
        guard (try? Child(prefix[0], Array(prefix.dropFirst()) + ["true"]))?.wait() == 0 else {
            print("NOT RUN: unshare(1) may not do \(options.joined(separator: " ")) here")
            return nil
        }
        return CommandLineTool(command: prefix + command)
    }

    /// Where a standard stream leads.
    enum Stream: Sendable {
        case closed
        case path(String)
        /// The same, non-blocking, as whoever shares a pipe or terminal may make it.
        case nonBlocking(String)
        /// Standard input: these bytes. For the others: into what ``Outcome`` has.
        case bytes([UInt8])

        static let captured = Stream.bytes([])
        static func text(_ text: String) -> Stream { .bytes(Array(text.utf8)) }
    }

    /// How a run ended.
    struct Outcome: Sendable {
        /// As a shell gives it: 128 + n for signal n.
        let status: Int32
        /// The signal that ended it, if one did.
        let endingSignal: Int32?
        let hasDumpedCore: Bool
        let outputBytes: [UInt8]
        let error: String

        var output: String { String(decoding: outputBytes, as: UTF8.self) }

        /// The lines of standard output, each a JSON object.
        func objects() throws -> [[String: Any]] {
            try output.split(separator: "\n").map { line in
                let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
                return try #require(object as? [String: Any])
            }
        }

        /// The one line of standard output as a JSON object.
        func object() throws -> [String: Any] {
            let objects = try objects()
            try #require(objects.count == 1, "\(output)")
            return objects[0]
        }

        /// Whether standard error is one line that begins with the name of the tool.
        var isOneSentence: Bool {
            error.hasPrefix("holdfastctl: ") && error.hasSuffix("\n") && error.dropLast().allSatisfy { $0 != "\n" }
        }
    }

    /// Starts it in the test's temporary directory.
    func start(
        _ arguments: [String],
        input: Stream = .captured,
        output: Stream = .captured,
        error: Stream = .captured,
        environment: [String: String] = [:]
    ) throws -> RunningTool {
        try RunningTool(command + arguments, input, output, error, environment)
    }

    /// Runs it to its end.
    func run(
        _ arguments: String...,
        input: Stream = .captured,
        output: Stream = .captured,
        error: Stream = .captured,
        environment: [String: String] = [:]
    ) async throws -> Outcome {
        try await start(arguments, input: input, output: output, error: error, environment: environment).outcome()
    }
}

/// Waits until something becomes true, for two minutes at most.
func eventually(_ what: Comment, _ condition: () throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(600)
    while try !condition() {
        try #require(ContinuousClock.now < deadline, what)
        try await Task.sleep(for: .milliseconds(2))
    }
}
