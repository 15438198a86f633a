// SPDX-License-Identifier: Apache-2.0
//
// From an older schema to the present one, a step at a time, on bytes: the type that could decode the old payload need
// not live on in the program.

/// One step from a schema to the next: a pure function of the payload.
public struct StateMigration: Sendable {
    /// The schema that it reads.
    ///
    /// It writes the one after.
    public let from: UInt32
    let transform: @Sendable ([UInt8]) throws -> [UInt8]

    /// Makes a step.
    ///
    /// - Parameters:
    ///   - schema: The schema of the bytes that it is given; the result has `schema + 1`.
    ///   - transform: Returns the payload in the next schema. It may run at every load until something is saved.
    public init(from schema: UInt32, _ transform: @escaping @Sendable ([UInt8]) throws -> [UInt8]) {
        self.from = schema
        self.transform = transform
    }
}

/// Why steps are none of a state file.
package struct MigrationFault: Error {
    package let reason: String
}

/// The steps of one state file, in order.
package struct MigrationPath: Sendable {
    private let steps: [UInt32: StateMigration]
    package let schema: UInt32

    /// No steps.
    package init(to schema: UInt32) {
        self.schema = schema
        steps = [:]
    }

    /// - Throws: ``MigrationFault`` for steps that a program cannot mean.
    package init(_ migrations: [StateMigration], to schema: UInt32) throws(MigrationFault) {
        self.schema = schema
        var steps: [UInt32: StateMigration] = [:]
        for migration in migrations {
            if migration.from >= schema {
                throw MigrationFault(reason: "a migration from schema \(migration.from) leads past \(schema)")
            }
            if steps.updateValue(migration, forKey: migration.from) != nil {
                throw MigrationFault(reason: "there are two migrations from schema \(migration.from)")
            }
        }
        self.steps = steps
    }

    /// The payload in the present schema.
    package func migrate(
        _ bytes: [UInt8],
        from stored: UInt32,
        _ operation: StateError.Operation,
        path: String
    ) throws(StateError) -> [UInt8] {
        if stored > schema {
            throw StateError(.newerSchema, operation, path: path, expected: UInt64(schema), found: UInt64(stored))
        }
        var bytes = bytes
        for version in stored..<schema {
            guard let step = steps[version] else {
                throw StateError(
                    .missingMigration,
                    operation,
                    path: path,
                    expected: UInt64(schema),
                    found: UInt64(version)
                )
            }
            do {
                bytes = try step.transform(bytes)
            } catch {
                throw StateError(.migrationFailed, operation, path: path, found: UInt64(version), underlying: error)
            }
        }
        return bytes
    }
}
