// SPDX-License-Identifier: Apache-2.0

#if Etcd
import Holdfast
import HoldfastEtcd
import Testing

@Suite struct EtcdConfigurationTests {
    @Test func noNameReachesIntoTheKeysOfAnother() throws {
        #expect(EtcdName("a/q/b").encoded == "a%2Fq%2Fb")
        #expect(EtcdName("ä %").encoded == "%C3%A4%20%25")
        #expect(EtcdName("nightly-1.2_x").encoded == "nightly-1.2_x")
        let all = try (0..<256).map { try EtcdName(String(Unicode.Scalar(UInt8($0)))).encoded }
        #expect(Set(all).count == 256)
        for text in ["", String(repeating: "x", count: 513)] {
            #expect(throws: EtcdError.self) { _ = try EtcdName(text) }
        }
    }

    @Test func endpointsAreReadAsEtcdctlReadsThem() throws {
        func parts(_ text: String) throws -> [String] {
            let endpoint = try EtcdEndpoint(text)
            return [endpoint.host, "\(endpoint.port)"]
        }
        #expect(try parts("etcd-1") == ["etcd-1", "2379"])
        #expect(try parts("http://10.0.0.1:1234") == ["10.0.0.1", "1234"])
        #expect(try parts("https://[::1]:99") == ["::1", "99"])
        #expect(try parts("[::1]") == ["::1", "2379"])
        for bad in [
            "", ":1", "a:", "a:0", "a:65536", "a:x", "ftp://a", "http://", "a/b", "[::1", "[::1]x", "a b", "u@h",
        ] {
            let error = #expect(throws: EtcdError.self, "\(bad)") { _ = try EtcdEndpoint(bad) }
            #expect(error?.code == .refused)
        }
    }

    @Test(arguments: [
        ("3.5.27", false), ("3.5.28", true), ("3.5.30", true), ("3.6.8", false), ("3.6.9", true), ("3.7.0", true),
        ("3.7.0-rc.1", true), ("4.0.0", true), ("3.4.23", false), ("3.4.45", false), ("2.3.8", false),
    ])
    func versions(_ text: String, _ isSupported: Bool) {
        #expect(ServerVersion(text)?.isSupported == isSupported)
    }

    @Test func unreadableVersionIsNone() {
        for text in ["", "3", "3.5", "a.b.c", "3.5.x"] { #expect(ServerVersion(text) == nil) }
    }

    @Test func configurationThatCannotWorkIsRefused() throws {
        func code(_ make: () throws -> EtcdCluster) -> EtcdError.Code? {
            do {
                _ = try make()
                return nil
            } catch {
                return (error as? EtcdError)?.code
            }
        }
        let endpoint = try EtcdEndpoint("localhost:1")
        #expect(code { try EtcdCluster([], namespace: "a") } == .refused)
        for namespace in ["", "/", "a/", "/a", "a//b", "a b", "ä"] {
            #expect(
                code { try EtcdCluster([endpoint], namespace: namespace, security: .plaintext) } == .refused,
                "\(namespace)"
            )
        }
        #expect(code { try EtcdCluster([EtcdEndpoint("http://a")], namespace: "a", security: .tls) } == .refused)
        #expect(code { try EtcdCluster([EtcdEndpoint("https://a")], namespace: "a", security: .plaintext) } == .refused)
        #expect(code { try EtcdCluster([endpoint], namespace: "a", security: .tls(certificate: "x")) } == .refused)
        #expect(code { try EtcdCluster([endpoint], namespace: "a", security: .tls(authority: "/nowhere")) } == .refused)
        #expect(code { try EtcdCluster([endpoint], namespace: "a/b-1", security: .plaintext) } == nil)
    }

    @Test func passwordIsNotInAnyText() {
        let credentials = EtcdCredentials(user: "worker", password: "s3cret")
        var dumped = ""
        dump(credentials, to: &dumped)
        #expect(!"\(credentials)\(String(reflecting: credentials))\(dumped)".contains("s3cret"))
    }

    /// A process that was stopped for longer than its lease finds an answer from before: the session is lost all the
    /// same.
    @Test func lostSessionNeverComesBack() throws {
        let cluster = try EtcdCluster([EtcdEndpoint("localhost:1")], namespace: "a", security: .plaintext)
        let session = EtcdSession(of: cluster, lease: 1, seconds: 10, sent: .now - .seconds(10))
        session.renew(sent: .now, seconds: 10)
        let error = #expect(throws: EtcdError.self) { try session.check() }
        #expect(error?.code == .lost)
        session.renew(sent: .now, seconds: 10)
        #expect(throws: EtcdError.self) { try session.check() }
    }

    /// Nine tenths of the TTL, from when the keepalive was sent and not from when its answer came.
    @Test func timeOfASessionCountsFromTheSending() throws {
        let cluster = try EtcdCluster([EtcdEndpoint("localhost:1")], namespace: "a", security: .plaintext)
        let sent = ContinuousClock.now - .seconds(30)
        let session = EtcdSession(of: cluster, lease: 1, seconds: 100, sent: sent)
        #expect(session.safeUntil == sent + .seconds(90))
        session.renew(sent: sent + .seconds(10), seconds: 100)
        #expect(session.safeUntil == sent + .seconds(100))
        session.renew(sent: sent, seconds: 100)
        #expect(session.safeUntil == sent + .seconds(100))
    }
}
#endif
