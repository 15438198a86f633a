// SPDX-License-Identifier: Apache-2.0
//
// Calls that a task awaits. A thread of the file system's worker makes them, so that none of the cooperative pool waits for a
// device, and no thread for a lock.

extension StateEngine {
    /// Makes a call that may block, and suspends this task meanwhile.
    ///
    /// It is made again after a lock that it had to wait for, until it has called code of a user of the library.
    func awaited<Value: Sendable>(
        _ operation: StateError.Operation,
        _ call: @escaping @Sendable () throws(StateError) -> Value
    ) async throws(StateError) -> Value {
        try await result(operation) { Result { () throws(StateError) in try call() } }.get()
    }

    /// What came of such a call, whatever it throws.
    func result<Value: Sendable, Failure: Error>(
        _ operation: StateError.Operation,
        _ call: @escaping @Sendable () -> Result<Value, Failure>
    ) async throws(StateError) -> Result<Value, Failure> {
        do throws(SystemError) {
            return try await Worker.of(place.directory).runTakingLocks(call)
        } catch {
            throw StateError(operation.failure, operation, path: path, cause: error)
        }
    }
}
