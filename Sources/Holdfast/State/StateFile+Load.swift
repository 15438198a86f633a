// SPDX-License-Identifier: Apache-2.0
//
// Loading and verifying: no lock, nothing changed. Where a task awaits it, a thread that is not of the cooperative pool reads,
// and the task decodes.

extension StateFile {
    /// Reads, verifies, migrates and decodes the state.
    ///
    /// Blocking.
    ///
    /// It returns the state that the last save left, or a later one if somebody is saving meanwhile; never part of one.
    ///
    /// Four system calls (openat, fstat, preadv, close) and no flush; the payload is read into the bytes that the codec
    /// is given.
    ///
    /// - Parameters:
    ///   - orPrevious: Whether the copy kept by ``StateOptions/keepsPrevious`` is returned if the current file is
    ///     damaged: its checks fail, or reading it gives EIO. ``loadWithReport(orPrevious:durable:)`` tells which it was.
    ///   - durable: Whether the state is flushed before it is returned, so that no power cut takes back what the caller
    ///     acts upon. Two flushes.
    /// - Returns: The value.
    /// - Throws: ``StateError`` with ``StateError/Code/notFound``, ``StateError/Code/corrupt``,
    ///   ``StateError/Code/newerFormat``, ``StateError/Code/newerSchema``, ``StateError/Code/missingMigration``,
    ///   ``StateError/Code/migrationFailed``, ``StateError/Code/decodingFailed``, ``StateError/Code/wrongStore``,
    ///   ``StateError/Code/tooLarge``, ``StateError/Code/refused``, ``StateError/Code/notRead``, in two slots
    ///   ``StateError/Code/compromised``, or, if `durable`, ``StateError/Code/notDurable``.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    public func load(orPrevious: Bool = false, durable: Bool = false) throws(StateError) -> Value {
        try loadWithReport(orPrevious: orPrevious, durable: durable).value
    }

    /// Reads, verifies, migrates and decodes the state; this task is suspended while the file is read.
    ///
    /// As the blocking method of the same name, whose guarantees it has. A cancelled task waits for the load all the same.
    ///
    /// - Parameters:
    ///   - orPrevious: As in the blocking method.
    ///   - durable: As there.
    /// - Returns: The value.
    /// - Throws: ``StateError`` as there.
    public func load(orPrevious: Bool = false, durable: Bool = false) async throws(StateError) -> Value {
        try await loadWithReport(orPrevious: orPrevious, durable: durable).value
    }

    /// The value, or nil if there is no state yet; in all else as ``load(orPrevious:durable:)``.
    ///
    /// Blocking.
    ///
    ///     let settings = try state.loadIfPresent() ?? Settings()
    ///
    /// - Parameters:
    ///   - orPrevious: As there.
    ///   - durable: As there.
    /// - Returns: The value; nil if there is none.
    /// - Throws: ``StateError`` as there, but not ``StateError/Code/notFound``.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    public func loadIfPresent(orPrevious: Bool = false, durable: Bool = false) throws(StateError) -> Value? {
        do throws(StateError) {
            return try load(orPrevious: orPrevious, durable: durable)
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    /// The value, or nil if there is no state yet; this task is suspended while the file is read.
    ///
    /// - Parameters:
    ///   - orPrevious: As in ``load(orPrevious:durable:)``.
    ///   - durable: As there.
    /// - Returns: The value; nil if there is none.
    /// - Throws: ``StateError`` as there, but not ``StateError/Code/notFound``.
    public func loadIfPresent(orPrevious: Bool = false, durable: Bool = false) async throws(StateError) -> Value? {
        do throws(StateError) {
            return try await load(orPrevious: orPrevious, durable: durable)
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    /// Reads the state as ``load(orPrevious:durable:)`` does, and tells where it came from.
    ///
    /// Blocking.
    ///
    /// The report's generation is what a later ``save(_:ifGeneration:fence:durability:deadline:timeout:)`` compares with.
    ///
    /// - Parameters:
    ///   - orPrevious: As there.
    ///   - durable: As there.
    /// - Returns: The value and the report.
    /// - Throws: ``StateError``, as there.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    public func loadWithReport(
        orPrevious: Bool = false,
        durable: Bool = false
    ) throws(StateError) -> (value: Value, report: LoadReport) {
        try decoded(try engine.load(.loading, orPrevious: orPrevious, durable: durable))
    }

    /// Reads the state, and tells where it came from; this task is suspended while the file is read.
    ///
    /// - Parameters:
    ///   - orPrevious: As in ``load(orPrevious:durable:)``.
    ///   - durable: As there.
    /// - Returns: The value and the report.
    /// - Throws: ``StateError``, as there.
    public func loadWithReport(
        orPrevious: Bool = false,
        durable: Bool = false
    ) async throws(StateError) -> (value: Value, report: LoadReport) {
        let engine = engine
        let loaded = try await engine.awaited(.loading) { () throws(StateError) in
            try engine.load(.loading, orPrevious: orPrevious, durable: durable)
        }
        return try decoded(loaded)
    }

    /// The value of what was loaded.
    func decoded(_ loaded: LoadedState) throws(StateError) -> (value: Value, report: LoadReport) {
        let header = loaded.state.header
        let value = try decode(loaded.state.payload, schema: header.schema, .loading)
        let rejected = loaded.rejected.map { engine.place.error($0, .loading) }
        let migratedFrom = header.schema == schema ? nil : header.schema
        return (value, LoadReport(loaded, rejected: rejected, migratedFrom: migratedFrom))
    }

    /// Reads and verifies the file without decoding its payload.
    ///
    /// Blocking.
    ///
    /// Any schema is accepted. As many system calls as a load, no flush.
    ///
    /// - Returns: What the file says of itself.
    /// - Throws: ``StateError`` with ``StateError/Code/notFound``, ``StateError/Code/corrupt``,
    ///   ``StateError/Code/newerFormat``, ``StateError/Code/wrongStore``, ``StateError/Code/tooLarge``,
    ///   ``StateError/Code/refused``, ``StateError/Code/notRead`` or ``StateError/Code/compromised``.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    public func verify() throws(StateError) -> LoadReport {
        let loaded = try engine.load(.verifying, orPrevious: false, durable: false)
        return LoadReport(loaded, rejected: loaded.rejected.map { engine.place.error($0, .verifying) })
    }

    /// Reads and verifies the file without decoding its payload; this task is suspended meanwhile.
    ///
    /// - Returns: What the file says of itself.
    /// - Throws: ``StateError`` as the blocking method of the same name.
    public func verify() async throws(StateError) -> LoadReport {
        let engine = engine
        let loaded = try await engine.awaited(.verifying) { () throws(StateError) in
            try engine.load(.verifying, orPrevious: false, durable: false)
        }
        return LoadReport(loaded, rejected: loaded.rejected.map { engine.place.error($0, .verifying) })
    }

    /// The value of a verified payload.
    func decode(
        _ payload: [UInt8],
        schema: UInt32,
        _ operation: StateError.Operation
    ) throws(StateError) -> Value {
        let bytes = try migrations.migrate(payload, from: schema, operation, path: engine.path)
        do {
            return try codec.decode(bytes)
        } catch {
            throw StateError(.decodingFailed, operation, path: engine.path, underlying: error)
        }
    }
}
