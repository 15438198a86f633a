// SPDX-License-Identifier: Apache-2.0
//
// Servers that are too old, that want a password or certificates, that are full, and that are another cluster.

#if Etcd
import Foundation
import Holdfast
import HoldfastEtcd
import Synchronization
import Testing

@Suite struct EtcdServerTests {
    @Test func serverThatIsTooOldIsRefused() async throws {
        guard let program = Servers.old else {
            print("NOT RUN: the test of a server that is too old: HOLDFAST_OLD_ETCD is not set")
            return
        }
        let servers = try Servers(program)
        try await withCluster(servers.urls) { cluster in
            let error = await #expect(throws: EtcdError.self) {
                try await EtcdState<[UInt8]>("state", in: cluster).save([1])
            }
            #expect(error?.code == .unsupportedServer)
            #expect(error?.reason.contains("3.5.28") == true)
            let session = await #expect(throws: EtcdError.self) { try await cluster.withSession { _ in } }
            #expect(session?.code == .unsupportedServer)
        }
        var options = patient
        options.allowsUnsupportedServer = true
        try await withCluster(servers.urls, options: options) { cluster in
            try await EtcdState<[UInt8]>("state", in: cluster).save([1])
        }
    }

    /// A user that may use one namespace, and a server whose tokens last a second.
    @Test func passwordsAndTheirTokens() async throws {
        guard let program = Servers.supported, Servers.control != nil else {
            print("NOT RUN: the test of passwords: HOLDFAST_ETCD or HOLDFAST_ETCDCTL is not set")
            return
        }
        let servers = try Servers(program, arguments: ["--auth-token-ttl", "1"])
        try await withCluster(servers.urls) { _ = try await EtcdState<[UInt8]>("state", in: $0).loadIfPresent() }
        try servers.control("user", "add", "root:root")
        try servers.control("user", "grant-role", "root", "root")
        try servers.control("role", "add", "mine")
        try servers.control("role", "grant-permission", "--prefix", "mine", "readwrite", "mine/")
        try servers.control("user", "add", "worker:s3cret")
        try servers.control("user", "grant-role", "worker", "mine")
        try servers.control("auth", "enable")

        let worker = EtcdCredentials(user: "worker", password: "s3cret")
        try await withCluster(servers.urls, namespace: "mine", credentials: worker) { cluster in
            try await cluster.withSession(ttl: .seconds(60)) { session in
                let state = EtcdState<[UInt8]>("state", in: cluster)
                let held = try await EtcdLock("lock", in: session).lock()
                try await state.save([1], fence: held.fence)
                #expect(cluster.authentications.load(ordering: .relaxed) == 1)
                try await Task.sleep(for: .seconds(4))
                // Eight calls with an expired token get one new one together.
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<8 { group.addTask { _ = try await state.load() } }
                    try await group.waitForAll()
                }
                let count = cluster.authentications.load(ordering: .relaxed)
                #expect((2...4).contains(count), "\(count) authentications")
                try await held.release()
            }
        }
        try await withCluster(servers.urls, namespace: "others", credentials: worker) { cluster in
            let error = await #expect(throws: EtcdError.self) {
                try await EtcdState<[UInt8]>("state", in: cluster).save([1])
            }
            #expect(error?.code == .permissionDenied)
        }
        let wrong = EtcdCredentials(user: "worker", password: "s3cre7")
        try await withCluster(servers.urls, namespace: "mine", credentials: wrong) { cluster in
            let error = await #expect(throws: EtcdError.self) {
                _ = try await EtcdState<[UInt8]>("state", in: cluster).load()
            }
            #expect(error?.code == .authenticationFailed)
            #expect(cluster.authentications.load(ordering: .relaxed) == 1, "no loop")
            #expect("\(error.map { "\($0) \($0.underlying.map { "\($0)" } ?? "")" } ?? "")".contains("s3cre7") == false)
        }
        try await withCluster(servers.urls, namespace: "mine") { cluster in
            let error = await #expect(throws: EtcdError.self) {
                _ = try await EtcdState<[UInt8]>("state", in: cluster).load()
            }
            #expect(error?.code == .authenticationFailed)
        }
    }

    @Test func certificatesAreVerifiedBothWays() async throws {
        guard let program = Servers.supported, let openssl = Certificates.openssl else {
            print("NOT RUN: the test of TLS: HOLDFAST_ETCD is not set, or there is no openssl")
            return
        }
        let files = try Certificates(openssl)
        let servers = try Servers(
            program,
            scheme: "https",
            arguments: [
                "--cert-file", files["server.pem"], "--key-file", files["server.key"], "--client-cert-auth",
                "--trusted-ca-file",
                files["ca.pem"],
            ]
        )
        func security(authority: String = "ca", certificate: String? = "client", name: String? = "etcd.test")
            -> EtcdSecurity
        {
            .tls(
                authority: files["\(authority).pem"],
                certificate: certificate.map { files["\($0).pem"] },
                key: certificate.map { files["\($0).key"] },
                serverName: name
            )
        }
        try await withCluster(servers.urls, security: security()) { cluster in
            try await cluster.withSession { session in
                try await EtcdLock("lock", in: session).withLock { held in
                    _ = try await EtcdState<[UInt8]>("state", in: cluster).save([1], fence: held.fence)
                }
            }
        }
        var options = EtcdOptions()
        options.requestTimeout = .seconds(3)
        let others = [
            ("another authority", security(authority: "other"), "CERTIFICATE_VERIFY_FAILED"),
            ("no certificate of the client", security(certificate: nil), "CERTIFICATE_REQUIRED"),
            ("another name", security(name: "elsewhere"), ""),
            ("no name", security(name: nil), ""),
        ]
        for (what, security, reason) in others {
            try await withCluster(servers.urls, security: security, options: options) { cluster in
                let error = await #expect(throws: EtcdError.self) {
                    _ = try await EtcdState<[UInt8]>("state", in: cluster).load()
                }
                #expect(error?.code == .unavailable, "\(what)")
                #expect(error.map { reason.isEmpty || $0.reason.contains(reason) } == true, "\(what)")
            }
        }
    }

    /// A full database accepts no save and no lock, but the release of what is held.
    @Test func fullServer() async throws {
        guard let program = Servers.supported, Servers.control != nil else {
            print("NOT RUN: the test of a full server: HOLDFAST_ETCD or HOLDFAST_ETCDCTL is not set")
            return
        }
        let servers = try Servers(program, arguments: ["--quota-backend-bytes", "8000000"])
        try await withCluster(servers.urls) { cluster in
            try await cluster.withSession(ttl: .seconds(60)) { session in
                let lock = EtcdLock("lock", in: session, label: "before")
                let held = try await lock.lock()
                let state = EtcdState<[UInt8]>("state", in: cluster)
                let filler = EtcdState<[UInt8]>("filler", in: cluster)
                try await state.save([1], fence: held.fence)
                var full: EtcdError?
                for _ in 0..<40 where full == nil {
                    do throws(EtcdError) {
                        try await filler.save([UInt8](repeating: 1, count: 1_000_000))
                    } catch {
                        full = error
                    }
                }
                #expect(full?.code == .noSpace)
                let save = await #expect(throws: EtcdError.self) { try await state.save([2]) }
                #expect(save?.code == .noSpace)
                #expect(try await state.load() == [1])
                let other = await #expect(throws: EtcdError.self) {
                    _ = try await EtcdLock("other", in: session).lock()
                }
                #expect(other?.code == .noSpace)
                try await held.release()
                #expect(try await cluster.keys("l/lock/q/").isEmpty)
                // Space again: the release was written down, as it deletes only.
                let revision = try #require(try await filler.snapshot()).generation
                try servers.control("compact", "\(revision)")
                try servers.control("defrag")
                try servers.control("alarm", "disarm")
                let next = try await lock.lock()
                #expect(next.abandoned == nil)
                try await next.release()
            }
        }
    }

    /// Behind the address is another cluster than before: nothing that was believed of the first one holds there.
    @Test func anotherClusterBehindTheAddressIsNoticed() async throws {
        guard let program = Servers.supported else {
            print("NOT RUN: the test of another cluster behind the address: HOLDFAST_ETCD is not set")
            return
        }
        let first = try Servers(program)
        let second = try Servers(program)
        try await withCluster(first.urls) { _ = try await EtcdState<[UInt8]>("state", in: $0).loadIfPresent() }
        try await withCluster(second.urls) { _ = try await EtcdState<[UInt8]>("state", in: $0).loadIfPresent() }
        let proxy = Proxy(to: first.ports[0])
        defer { proxy.end() }
        try await withCluster([proxy.url]) { cluster in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            try await cluster.withSession(ttl: .seconds(60)) { session in
                let held = try await EtcdLock("lock", in: session).lock()
                try await state.save([1], fence: held.fence)
                proxy.turn(to: second.ports[0])
                let error = await #expect(throws: EtcdError.self) { try await state.save([2], fence: held.fence) }
                // An attempt that the broken connection took may have happened; then the new cluster is why nothing can
                // tell.
                #expect(error?.code == .wrongCluster || (error?.underlying as? EtcdError)?.code == .wrongCluster)
                let loss = await session.lost()
                #expect(loss?.code == .lost)
            }
        }
    }
}

/// Certificates that a test makes with openssl.
private final class Certificates {
    private let directory: URL

    static let openssl = ["/usr/bin/openssl", "/opt/homebrew/bin/openssl"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    init(_ openssl: String) throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "certificates-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        func run(_ arguments: String) throws {
            let process = Process()
            process.executableURL = URL(filePath: openssl)
            process.arguments = arguments.split(separator: " ").map(String.init)
            process.currentDirectoryURL = directory
            process.standardError = FileHandle.nullDevice
            try process.run()
            process.waitUntilExit()
            try #require(process.terminationStatus == 0, "openssl \(arguments)")
        }
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        for name in ["ca", "other"] {
            try run("req -x509 \(key) -keyout \(name).key -out \(name).pem -days 2 -subj /CN=\(name)")
        }
        for name in ["server", "client"] {
            try run("req \(key) -keyout \(name).key -out \(name).csr -subj /CN=\(name)")
            let use =
                "basicConstraints=CA:FALSE\nextendedKeyUsage=\(name)Auth,clientAuth\nsubjectAltName=DNS:etcd.test\n"
            try Data(use.utf8).write(to: directory.appending(path: "\(name).ext"))
            try run(
                "x509 -req -in \(name).csr -CA ca.pem -CAkey ca.key -CAcreateserial -out \(name).pem -days 2 -extfile \(name).ext"
            )
        }
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    subscript(name: String) -> String { directory.appending(path: name).path }
}
#endif
