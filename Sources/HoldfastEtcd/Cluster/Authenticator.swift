// SPDX-License-Identifier: Apache-2.0
//
// The token of the server's user database that requests carry. One request for a token at a time, and one for each
// token that the server refused, however many calls were refused with it.

#if Etcd
internal import GRPCCore
internal import Synchronization

final class Authenticator: Sendable {
    private struct State {
        var token: String?
        var request: Task<String, any Error>?
    }

    let credentials: EtcdCredentials
    private let state = Mutex(State())

    init(_ credentials: EtcdCredentials) {
        self.credentials = credentials
    }

    /// The token in use, or else the one that `authenticate` gets.
    func token(_ authenticate: @escaping @Sendable () async throws -> String) async throws -> String {
        if let token = state.withLock({ $0.token }) { return token }
        let request = state.withLock { state in
            if let request = state.request { return request }
            let request = Task {
                do {
                    let token = try await authenticate()
                    self.state.withLock { $0 = State(token: token) }
                    return token
                } catch {
                    self.state.withLock { $0.request = nil }
                    throw error
                }
            }
            state.request = request
            return request
        }
        return try await request.value
    }

    /// Gives up a token that the server refused, unless another one has replaced it.
    func forget(_ token: String?) {
        state.withLock { state in
            if state.token == token { state.token = nil }
        }
    }
}
#endif
