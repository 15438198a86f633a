// SPDX-License-Identifier: Apache-2.0
//
// The promise that states of one machine and of many have in common, so that a service grows past one machine by another
// argument.

/// A value that is kept whole across crashes: a ``StateFile``, or a state that several machines share.
///
///     func nightly(_ lock: any FencedLock, _ report: any StateStore<Report>) async throws {
///         try await lock.withLock { grant in
///             try await report.update(initial: Report(), fence: grant.fence) { $0.runs += 1 }
///         }
///     }
///
/// No method blocks a thread of the cooperative pool.
public protocol StateStore<Value>: Sendable {
    /// What is kept.
    associatedtype Value: Sendable
    /// The values over time.
    associatedtype Values: AsyncSequence & Sendable
    where Values.Element == StateSnapshot<Value>, Values.Failure == StateError

    /// The state with its generation, or nil if there is none yet.
    ///
    /// - Returns: The snapshot; nil if there is none.
    /// - Throws: ``StateError`` if it could not be read, or is damaged.
    func snapshot() async throws(StateError) -> StateSnapshot<Value>?

    /// Replaces the state by a value.
    ///
    /// - Parameters:
    ///   - value: What to save.
    ///   - generation: If not nil, the generation that the state must have now; ``Generation/absent`` for none.
    ///   - fence: What the lock granted under which this is saved: refused if the state has a later token.
    ///   - timeout: How long to wait for other writers, and for the store; nil waits forever.
    /// - Returns: What was achieved.
    /// - Throws: ``StateError``, with ``StateError/Code/conflict`` and ``StateError/Code/fenced`` if a condition did not hold.
    @discardableResult
    func save(
        _ value: Value,
        ifGeneration generation: Generation?,
        fence: Fence?,
        timeout: Duration?
    ) async throws(StateError) -> StateCommit

    /// Changes the state with no other writer in between.
    ///
    /// - Parameters:
    ///   - initial: What the body is given if there is no state yet.
    ///   - fence: As in ``save(_:ifGeneration:fence:timeout:)``.
    ///   - timeout: As there.
    ///   - body: Changes the value. It must have no other effect: where others may save at the same time, it runs again with
    ///     what they saved. A ``StateFile`` runs it once.
    /// - Returns: What was achieved.
    /// - Throws: What the body throws; ``StateError`` as a save, and with ``StateError/Code/notFound`` if there is no state and
    ///   no `initial` one.
    @discardableResult
    func update(
        initial: Value?,
        fence: Fence?,
        timeout: Duration?,
        _ body: @escaping @Sendable (inout Value) throws -> Void
    ) async throws -> StateCommit

    /// The present value and every later one that is there when it looks.
    var values: Values { get }
}

extension StateStore {
    /// Replaces the state by a value, however long other writers take.
    ///
    /// As ``save(_:ifGeneration:fence:timeout:)``.
    @_disfavoredOverload
    @discardableResult
    public func save(_ value: Value, fence: Fence? = nil) async throws(StateError) -> StateCommit {
        try await save(value, ifGeneration: nil, fence: fence, timeout: nil)
    }

    /// Changes the state with no other writer in between, however long they take.
    ///
    /// As ``update(initial:fence:timeout:_:)``.
    @_disfavoredOverload
    @discardableResult
    public func update(
        initial: Value? = nil,
        fence: Fence? = nil,
        _ body: @escaping @Sendable (inout Value) throws -> Void
    ) async throws -> StateCommit {
        try await update(initial: initial, fence: fence, timeout: nil, body)
    }
}

extension StateFile: StateStore {
    /// Replaces the state by a value; this task is suspended meanwhile.
    ///
    /// As the method with a durability and a deadline, for ``StateStore``.
    @_disfavoredOverload
    @discardableResult
    public func save(
        _ value: Value,
        ifGeneration expected: Generation?,
        fence: Fence?,
        timeout: Duration?
    ) async throws(StateError) -> StateCommit {
        try await save(value, ifGeneration: expected, fence: fence, durability: nil, deadline: nil, timeout: timeout)
    }

    /// Changes the state with no other writer in between; this task is suspended meanwhile.
    ///
    /// As the method with a durability and a deadline, for ``StateStore``.
    @_disfavoredOverload
    @discardableResult
    public func update(
        initial: Value?,
        fence: Fence?,
        timeout: Duration?,
        _ body: @escaping @Sendable (inout Value) throws -> Void
    ) async throws -> StateCommit {
        try await update(initial: initial, fence: fence, durability: nil, deadline: nil, timeout: timeout, body)
    }
}
