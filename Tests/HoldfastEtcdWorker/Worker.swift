// SPDX-License-Identifier: Apache-2.0
//
// A client in a process of its own, for tests that kill or stop it.
//
//     holdfast-etcd-worker ENDPOINT NAMESPACE TTL
//
// Takes the lock `lock`, prints `held TOKEN`, waits for a line on standard input, saves the state `state` under the
// lock and prints `saved` or the code of the error; at the loss of the lock it prints `lost`.

#if Etcd
import Foundation
import Holdfast
import HoldfastEtcd

@main struct Worker {
    static func main() async throws {
        let arguments = CommandLine.arguments
        let cluster = try EtcdCluster([EtcdEndpoint(arguments[1])], namespace: arguments[2], security: .plaintext)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await cluster.run() }
            try await cluster.withSession(ttl: .seconds(Int(arguments[3]) ?? 2)) { session in
                let state = EtcdState<[UInt8]>("state", in: cluster)
                let held = try await EtcdLock("lock", in: session, label: "worker").lock()
                say("held \(held.token)")
                let loss = Task { if await held.lost() != nil { say("lost") } }
                _ = await Task.detached { readLine() }.value
                do throws(EtcdError) {
                    try await state.save([1], fence: held.fence)
                    say("saved")
                } catch {
                    say("\(error.code)")
                }
                loss.cancel()
                await loss.value
            }
            group.cancelAll()
        }
    }

    private static func say(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
}
#else
@main struct Worker {
    static func main() {}
}
#endif
