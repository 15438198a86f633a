// SPDX-License-Identifier: Apache-2.0
//
// etcd servers that tests start, on ports of their own, in a directory of their own. `HOLDFAST_ETCD` is the path of a
// supported server, `HOLDFAST_ETCDCTL` of its client, `HOLDFAST_OLD_ETCD` of a server that is too old.
// scripts/checks/etcd sets them, and ends the servers of tests that were ended themselves, by the files PID in
// `HOLDFAST_ETCD_DIRECTORY`.

#if Etcd
import Foundation
import SwiftProtobuf
import Holdfast
import HoldfastEtcd
import Synchronization
import Testing

/// The members of a cluster, ended with this object.
final class Servers: Sendable {
    struct Member: Sendable {
        let client: Int
        let peer: Int
        var process: Int32
    }

    private let program: String
    private let directory: URL
    private let scheme: String
    private let arguments: [String]
    private let members: Mutex<[Member]>

    static var supported: String? { path("HOLDFAST_ETCD") }
    static var old: String? { path("HOLDFAST_OLD_ETCD") }
    static var control: String? { path("HOLDFAST_ETCDCTL") }

    /// One server that the tests share that harm none, each below a namespace of its own.
    static let shared = Mutex<Servers?>(nil)

    /// Starts members.
    init(_ program: String, count: Int = 1, scheme: String = "http", arguments: [String] = []) throws {
        self.program = program
        self.scheme = scheme
        self.arguments = arguments
        let parent =
            Self.path("HOLDFAST_ETCD_DIRECTORY").map { URL(filePath: $0) } ?? FileManager.default.temporaryDirectory
        directory = parent.appending(path: "etcd-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        members = Mutex((0..<count).map { _ in Member(client: freePort(), peer: freePort(), process: 0) })
        for index in 0..<count { try start(index) }
    }

    deinit {
        for index in 0..<count { end(index) }
        try? FileManager.default.removeItem(at: directory)
    }

    private static func path(_ variable: String) -> String? { ProcessInfo.processInfo.environment[variable] }

    var count: Int { members.withLock { $0.count } }
    var ports: [Int] { members.withLock { $0.map(\.client) } }
    var urls: [String] { ports.map { "\(scheme)://127.0.0.1:\($0)" } }

    /// Starts a member, again after ``end(_:)``.
    func start(_ index: Int) throws {
        let all = members.withLock { $0 }
        let member = all[index]
        let process = Process()
        process.executableURL = URL(filePath: program)
        let cluster = all.enumerated().map { "m\($0)=http://127.0.0.1:\($1.peer)" }.joined(separator: ",")
        process.arguments =
            [
                "--name", "m\(index)", "--data-dir", directory.appending(path: "m\(index)").path,
                "--listen-client-urls", "\(scheme)://127.0.0.1:\(member.client)",
                "--advertise-client-urls", "\(scheme)://127.0.0.1:\(member.client)",
                "--listen-peer-urls", "http://127.0.0.1:\(member.peer)",
                "--initial-advertise-peer-urls", "http://127.0.0.1:\(member.peer)",
                "--initial-cluster", cluster, "--initial-cluster-token", directory.lastPathComponent, "--log-level",
                "error",
            ] + arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        try Data("\(process.processIdentifier)\n".utf8).write(to: directory.appending(path: "PID\(index)"))
        members.withLock { $0[index].process = process.processIdentifier }
    }

    func send(_ signal: Int32, to index: Int) { kill(members.withLock { $0[index].process }, signal) }

    /// Kills a member, as a power cut would.
    func end(_ index: Int) {
        send(SIGKILL, to: index)
        send(SIGCONT, to: index)
    }

    /// Runs etcdctl, and returns what it prints.
    @discardableResult
    func control(_ arguments: String...) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: try #require(Self.control))
        process.arguments = ["--endpoints", urls.joined(separator: ","), "--command-timeout", "20s"] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "etcdctl \(arguments): \(text)")
        return text
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
func freePort() -> Int {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = unsafe inet_addr("127.0.0.1")
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    unsafe withUnsafeMutablePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            _ = unsafe bind(descriptor, $0, length)
            _ = unsafe getsockname(descriptor, $0, &length)
        }
    }
    return Int(UInt16(bigEndian: address.sin_port))
}

/// The shared server, started by the first test that wants it; nil, with a line of output, where there is none.
func sharedServer() throws -> Servers? {
    guard let program = Servers.supported else {
        print("NOT RUN: tests with an etcd server: HOLDFAST_ETCD is not set")
        return nil
    }
    return try Servers.shared.withLock { shared in
        if let shared { return shared }
        let servers = try Servers(program)
        shared = servers
        atexit { Servers.shared.withLock { $0 = nil } }
        return servers
    }
}

/// Runs a body with a cluster in a new namespace.
@discardableResult
func withCluster<Result>(
    _ urls: [String],
    namespace: String = "test-\(UUID())",
    security: EtcdSecurity = .plaintext,
    credentials: EtcdCredentials? = nil,
    options: EtcdOptions = patient,
    _ body: (EtcdCluster) async throws -> Result
) async throws -> Result {
    let endpoints = try urls.map { try EtcdEndpoint($0) }
    let cluster = try EtcdCluster(
        endpoints,
        namespace: namespace,
        security: security,
        credentials: credentials,
        options: options
    )
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await cluster.run() }
        defer { group.cancelAll() }
        return try await body(cluster)
    }
}

/// Options for a machine that is busy with other things, where a server may take long to start.
var patient: EtcdOptions {
    var options = EtcdOptions()
    options.requestTimeout = .seconds(60)
    return options
}

extension EtcdCluster {
    /// The keys below this cluster's namespace that begin with a prefix.
    func keys(_ prefix: String) async throws -> [String] {
        let start = Data("\(namespace)/\(prefix)".utf8)
        var end = start
        end[end.count - 1] += 1
        let reply = try await range(
            "the test",
            until: .now + .seconds(30),
            .with {
                $0.key = start; $0.end = end
            }
        )
        return reply.pairs.map { String(decoding: $0.key.dropFirst(namespace.utf8.count + 1), as: UTF8.self) }
    }
}

/// A value that the tasks of a test share.
final class Shared<Value: Sendable>: Sendable {
    private let value: Mutex<Value>

    init(_ value: Value) {
        self.value = Mutex(value)
    }

    func withLock<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        value.withLock { value in body(&value) }
    }
}

/// What the bodies of tests throw.
struct Oops: Error {}

/// Waits for something that comes true sooner or later.
func eventually(
    sourceLocation: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let deadline = ContinuousClock.now + .seconds(60)
    while ContinuousClock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record("this did not come true", sourceLocation: sourceLocation)
}
#endif
