// SPDX-License-Identifier: Apache-2.0
//
// Between a client and a server: loses an answer, delivers a request late, or cuts the client off without closing its
// connections.

#if Etcd
import Foundation
import Synchronization

/// A TCP proxy in front of a port of 127.0.0.1.
final class Proxy: Sendable {
    private struct State {
        var losesAnswer = false
        var isFrozen = false
        var lost = 0
        var holdsRequest = false
        var held = 0
        var delivered = 0
        var isOver = false
        var target: Int
        var open: [Int32] = []
    }

    let port: Int
    private let listener: Int32
    private let state: Mutex<State>

    init(to target: Int) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        let candidate = freePort()
        var yes: Int32 = 1
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, socklen_t(MemoryLayout<Int32>.size))
        let bound = unsafe Self.with(candidate) { unsafe bind(descriptor, $0, $1) }
        precondition(bound == 0 && listen(descriptor, 64) == 0, "the port is taken")
        port = candidate
        listener = descriptor
        state = Mutex(State(target: target))
        Thread.detachNewThread { [self] in
            while true {
                let client = accept(descriptor, nil, nil)
                if state.withLock({ $0.isOver }) { return }
                guard client >= 0 else { continue }
                let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
                let connected = unsafe Self.with(state.withLock { $0.target }) { unsafe connect(server, $0, $1) }
                guard connected == 0 else {
                    close(server)
                    close(client)
                    continue
                }
                state.withLock { $0.open += [client, server] }
                Thread.detachNewThread { self.forward(from: client, to: server, isAnswer: false) }
                Thread.detachNewThread { self.forward(from: server, to: client, isAnswer: true) }
            }
        }
    }

    /// Ends the thread that accepts.
    func end() {
        state.withLock { $0.isOver = true }
        shutdown(listener, Int32(SHUT_RDWR))
    }

    var url: String { "http://127.0.0.1:\(port)" }
    /// How many answers were lost.
    var lost: Int { state.withLock { $0.lost } }

    /// Loses the next answer and breaks its connection.
    ///
    /// What does not look like an answer, such as a ping, is let through.
    func loseAnswer() { state.withLock { $0.losesAnswer = true } }

    /// Keeps the next request, and breaks the connection of its client; what does not look like a request is let
    /// through.
    func holdRequest() { state.withLock { $0.holdsRequest = true } }

    /// Whether a request is kept.
    var hasRequest: Bool { state.withLock { $0.held > $0.delivered } }

    /// Delivers the request that was kept, over the connection on which it came.
    func deliverRequest() { state.withLock { $0.delivered = $0.held } }

    /// Lets nothing through any more, or everything again.
    func freeze(_ isFrozen: Bool) { state.withLock { $0.isFrozen = isFrozen } }

    /// Breaks every connection, and leads the next ones to another server.
    func turn(to target: Int) {
        let open = state.withLock { state in
            state.target = target
            return state.open
        }
        for descriptor in open { shutdown(descriptor, Int32(SHUT_RDWR)) }
    }

    private func forward(from source: Int32, to target: Int32, isAnswer: Bool) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        loop: while true {
            let count = unsafe read(source, &buffer, buffer.count)
            while state.withLock({ $0.isFrozen }) { usleep(10_000) }
            if count <= 0 { break }
            // Frames of HTTP/2 that acknowledge something are shorter than 40 bytes, the answer to a transaction is
            // longer.
            let isLost = state.withLock { state in
                guard isAnswer, state.losesAnswer, count >= 40 else { return false }
                state.losesAnswer = false
                state.lost += 1
                return true
            }
            if isLost { break }
            let number = state.withLock { state in
                guard !isAnswer, state.holdsRequest, count >= 100 else { return 0 }
                state.holdsRequest = false
                state.held += 1
                return state.held
            }
            if number > 0 {
                shutdown(source, Int32(SHUT_RDWR))
                while state.withLock({ $0.delivered < number && !$0.isOver }) { usleep(1000) }
            }
            var written = 0
            while written < count {
                let step = unsafe buffer.withUnsafeBytes { bytes in
                    unsafe send(
                        target,
                        bytes.baseAddress.map { unsafe $0 + written },
                        count - written,
                        Int32(MSG_NOSIGNAL)
                    )
                }
                if step <= 0 { break loop }
                written += step
            }
        }
        // The server is to act on a request that was delivered late, as it would if only its answer were lost.
        while state.withLock({ $0.held > 0 && !$0.isOver }) { usleep(10_000) }
        // Both ends, so that the other thread ends too. The descriptors stay: a number that is used again would be
        // theirs.
        shutdown(source, Int32(SHUT_RDWR))
        shutdown(target, Int32(SHUT_RDWR))
    }

    private static func with(_ port: Int, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = unsafe inet_addr("127.0.0.1")
        address.sin_port = UInt16(port).bigEndian
        return unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe call($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
#endif
