// SPDX-License-Identifier: Apache-2.0
//
// Threads of our own, for what must not block the cooperative pool.

internal import _HoldfastCShims

/// Runs the body on a detached thread on which every signal is blocked, so that no handler of the embedding service runs there.
package func startThread(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
    let context = unsafe Unmanaged.passRetained(ThreadBody(body)).toOpaque()
    let error = unsafe hf_start_thread(
        { context in
            unsafe Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run()
            return nil
        },
        context
    )
    if error != 0 {
        unsafe Unmanaged<ThreadBody>.fromOpaque(context).release()
        throw SystemError(call: "pthread_create", code: error)
    }
}

/// A closure that C can be given.
private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
