// SPDX-License-Identifier: Apache-2.0
//
// How connections are secured, and as which user requests are made.

#if Etcd
internal import GRPCNIOTransportHTTP2Posix

/// How the connections to a cluster are secured.
public struct EtcdSecurity: Sendable {
    struct Files: Sendable {
        var authority: String?
        var certificate: String?
        var key: String?
        var serverName: String?
    }
    /// Nil for connections in the clear.
    let files: Files?

    /// Connections in the clear, for a cluster on a trusted network.
    public static let plaintext = EtcdSecurity(files: nil)

    /// TLS whose server certificate is verified against the system's authorities.
    public static let tls = EtcdSecurity(files: Files())

    /// TLS, with a client certificate if `certificate` and `key` are given.
    ///
    /// Every file is PEM, and is read when the ``EtcdCluster`` is made.
    ///
    /// - Parameters:
    ///   - authority: The path of the authority's certificates; the system's authorities by default.
    ///   - certificate: The path of this client's certificate, for a server with `--client-cert-auth`.
    ///   - key: The path of this client's private key.
    ///   - serverName: The name that the server's certificate must have, if it is not the endpoint's host.
    /// - Returns: The security.
    public static func tls(
        authority: String? = nil,
        certificate: String? = nil,
        key: String? = nil,
        serverName: String? = nil
    ) -> EtcdSecurity {
        EtcdSecurity(files: Files(authority: authority, certificate: certificate, key: key, serverName: serverName))
    }

    func transportSecurity() throws(EtcdError) -> HTTP2ClientTransport.Posix.TransportSecurity {
        guard let files else { return .plaintext }
        guard (files.certificate == nil) == (files.key == nil) else {
            throw EtcdError(
                .refused,
                "the TLS configuration",
                "has a certificate without a key, or a key without a certificate"
            )
        }
        return .tls { config in
            if let authority = files.authority {
                config.trustRoots = .certificates([.file(path: authority, format: .pem)])
            }
            if let certificate = files.certificate, let key = files.key {
                config.certificateChain = [.file(path: certificate, format: .pem)]
                config.privateKey = .file(path: key, format: .pem)
            }
        }
    }
}

/// The name and the password of a user of etcd.
///
/// Descriptions and mirrors of it leave the password out.
public struct EtcdCredentials: Sendable, CustomStringConvertible, CustomReflectable {
    /// The name of the user.
    public let user: String
    let password: String

    /// Makes credentials.
    public init(user: String, password: String) {
        self.user = user
        self.password = password
    }

    /// The name of the user.
    public var description: String { "user '\(user)'" }
    /// The name of the user.
    public var customMirror: Mirror { Mirror(self, children: ["user": user]) }
}
#endif
