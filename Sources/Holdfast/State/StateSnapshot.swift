// SPDX-License-Identifier: Apache-2.0
//
// A value with what tells it from every other one of its state: what a later save compares with, and what was wrong.

/// A state at one moment.
public struct StateSnapshot<Value: Sendable>: Sendable {
    /// The value.
    public let value: Value
    /// Which save it is: a later save with this as `ifGeneration:` is refused if another one came in between.
    public let generation: Generation
    /// The largest fencing token that the state was saved with; nil if none ever.
    public let token: FencingToken?
    /// The schema that is stored.
    public let schema: UInt32
    /// Which copy was used.
    public let copy: LoadReport.Copy
    /// Why the current copy was not used, if ``copy`` is another one.
    public let rejected: StateError?

    /// Makes a snapshot, for stores of other kinds and for tests.
    public init(
        value: Value,
        generation: Generation,
        token: FencingToken? = nil,
        schema: UInt32 = 1,
        copy: LoadReport.Copy = .current,
        rejected: StateError? = nil
    ) {
        self.value = value
        self.generation = generation
        self.token = token
        self.schema = schema
        self.copy = copy
        self.rejected = rejected
    }

    init(_ value: Value, _ report: LoadReport) {
        self.init(
            value: value,
            generation: report.generation,
            token: report.token,
            schema: report.schema,
            copy: report.copy,
            rejected: report.rejected
        )
    }
}

extension StateFile {
    /// The state with its generation, or nil if there is none yet.
    ///
    /// Blocking, as ``load(orPrevious:durable:)``.
    ///
    /// - Returns: The snapshot; nil if there is none.
    /// - Throws: ``StateError`` as that, but not ``StateError/Code/notFound``.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    public func snapshot() throws(StateError) -> StateSnapshot<Value>? {
        do throws(StateError) {
            let (value, report) = try loadWithReport()
            return StateSnapshot(value, report)
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    /// The state with its generation, or nil if there is none yet; this task is suspended meanwhile.
    ///
    /// - Returns: The snapshot; nil if there is none.
    /// - Throws: ``StateError`` as ``load(orPrevious:durable:)``, but not ``StateError/Code/notFound``.
    public func snapshot() async throws(StateError) -> StateSnapshot<Value>? {
        do throws(StateError) {
            let (value, report) = try await loadWithReport()
            return StateSnapshot(value, report)
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }
}
