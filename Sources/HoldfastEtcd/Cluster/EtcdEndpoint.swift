// SPDX-License-Identifier: Apache-2.0
//
// Where the members of a cluster are.

#if Etcd
internal import GRPCNIOTransportHTTP2Posix

/// The address at which a member of an etcd cluster serves clients.
public struct EtcdEndpoint: Hashable, Sendable, CustomStringConvertible {
    /// A name for the resolver, an IPv4 address or an IPv6 address.
    public let host: String
    /// The port, 2379 by default.
    public let port: Int
    /// Whether the text that it was made from began with `http://` or `https://`, and with which.
    let isSecure: Bool?

    /// Makes an endpoint from its parts.
    public init(host: String, port: Int = 2379) {
        self.host = host
        self.port = port
        isSecure = nil
    }

    /// Makes an endpoint from a text as etcd's own tools take it.
    ///
    /// - Parameter text: `HOST`, `HOST:PORT`, `[IPV6]:PORT`, also after `http://` or `https://`.
    /// - Throws: `refused` for anything else.
    public init(_ text: String) throws(EtcdError) {
        var rest = Substring(text)
        var isSecure: Bool?
        if let scheme = text.firstRange(of: "://") {
            switch text[..<scheme.lowerBound] {
            case "http": isSecure = false
            case "https": isSecure = true
            default: throw EtcdError(.refused, "endpoint '\(text)'", "has a scheme that is neither http nor https")
            }
            rest = rest[scheme.upperBound...]
        }
        var host = rest
        var port = Substring("2379")
        if rest.first == "[", let end = rest.firstIndex(of: "]") {
            host = rest[rest.index(after: rest.startIndex)..<end]
            let after = rest[rest.index(after: end)...]
            if after.first == ":" { port = after.dropFirst() } else if !after.isEmpty { port = "" }
        } else if rest.count(where: { $0 == ":" }) == 1, let colon = rest.firstIndex(of: ":") {
            host = rest[..<colon]
            port = rest[rest.index(after: colon)...]
        }
        guard !host.isEmpty, !host.contains(where: { "/[]@?#".contains($0) || $0.isWhitespace }),
            let number = Int(port), (1...65535).contains(number)
        else { throw EtcdError(.refused, "endpoint '\(text)'", "is not HOST:PORT") }
        self.host = String(host)
        self.port = number
        self.isSecure = isSecure
    }

    /// `HOST:PORT`.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    var target: any ResolvableTarget {
        if host.contains(":") { return .ipv6(address: host, port: port) }
        if host.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }) { return .ipv4(address: host, port: port) }
        return .dns(host: host, port: port)
    }
}
#endif
