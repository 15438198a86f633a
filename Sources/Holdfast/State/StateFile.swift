// SPDX-License-Identifier: Apache-2.0
//
// The typed layer: a codec and migrations over an engine that knows only bytes. It does no I/O of its own.

/// A value that is kept in one file, whole and verified, across crashes.
///
///     let state = try StateFile<Settings>("/var/lib/example/settings")
///     try state.save(Settings(port: 8080))
///     try state.update { $0.port += 1 }
///     let settings = try state.load()
///
/// Every save replaces the file at once: whoever loads sees one whole state, the one before or the one after. A frame
/// around the payload (docs/file-format.md) makes damage visible, so what ``load(orPrevious:durable:)`` returns is what
/// was saved, or it throws. Writers, in this process and in others, take turns by a kernel lock on `.NAME.lock` beside
/// the file; readers need no lock. ``StateDurability`` says what a saved state survives.
///
/// A value of this type holds no lock between calls; of a two-slot file it keeps that open, and what is beside it. It may
/// be copied and used from any thread; its copies share what they know of the file. A method that is awaited suspends its
/// task: other threads than those of the cooperative pool do the work. The others block the calling thread for file I/O, and
/// those that write also for their turn; the compiler refuses them in an async function.
///
/// Not for: data that grows without bound (each save writes it whole), many small changes per second on a disk (each is
/// two flushes), or directories that several machines share.
public struct StateFile<Value: Sendable>: Sendable {
    let engine: StateEngine
    let codec: any StateCodec<Value>
    let migrations: MigrationPath
    /// The schema of this program's values: what a save writes, and the newest that a load accepts.
    public let schema: UInt32

    /// Names a state file.
    ///
    /// It need not exist; nothing is opened or made.
    ///
    /// - Parameters:
    ///   - name: At most 233 bytes, so that the names of the companion files fit; not like theirs.
    ///   - directory: Where the file and its companions are.
    ///   - codec: Between values and bytes.
    ///   - schema: The schema of the values, which goes up by one when their meaning changes.
    ///   - migrations: Steps from older schemas, each from a different one below `schema`.
    ///   - options: How the file is kept.
    /// - Throws: ``StateError`` with ``StateError/Code/refused`` for such a name, for other migrations, and for permissions that
    ///   no state can have.
    public init(
        _ name: FileName,
        in directory: OpenDirectory,
        codec: some StateCodec<Value>,
        schema: UInt32 = 1,
        migrations: [StateMigration] = [],
        options: StateOptions = StateOptions()
    ) throws(StateError) {
        do throws(StateFailure) {
            engine = StateEngine(try CompanionNames(of: name), in: directory, options: options)
        } catch {
            throw StateError(error, .opening, path: directory.path(of: name))
        }
        if let refusal = engine.place.creation.refusal {
            throw StateError(.refused, .opening, path: directory.path(of: name), detail: refusal)
        }
        do throws(MigrationFault) {
            self.migrations = try MigrationPath(migrations, to: schema)
        } catch {
            throw StateError(.refused, .opening, path: directory.path(of: name), detail: error.reason)
        }
        self.codec = codec
        self.schema = schema
    }

    /// Opens the directory of a path and names a state file in it.
    ///
    /// Blocking: one open(2), which follows symbolic links up to the last component, and never that.
    ///
    /// - Parameters:
    ///   - path: Absolute, or relative to the working directory of this moment: a later chdir(2) changes nothing.
    ///   - codec: Between values and bytes.
    ///   - schema: As in ``init(_:in:codec:schema:migrations:options:)``.
    ///   - migrations: As there.
    ///   - options: As there.
    /// - Throws: ``StateError`` with ``StateError/Code/notRead`` if the directory cannot be opened, and with
    ///   ``StateError/Code/refused`` for a name that cannot be a state's.
    public init(
        _ path: String,
        codec: some StateCodec<Value>,
        schema: UInt32 = 1,
        migrations: [StateMigration] = [],
        options: StateOptions = StateOptions()
    ) throws(StateError) {
        let place: (directory: OpenDirectory, name: FileName)
        do throws(SystemError) {
            place = try OpenDirectory.resolve(path)
        } catch {
            throw StateError(.notRead, .opening, path: path, cause: error)
        }
        try self.init(
            place.name,
            in: place.directory,
            codec: codec,
            schema: schema,
            migrations: migrations,
            options: options
        )
    }

    /// The path of the file, for messages.
    public var path: String { engine.path }
}
