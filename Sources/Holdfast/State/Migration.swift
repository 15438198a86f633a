// SPDX-License-Identifier: Apache-2.0
//
// From an older schema to the present one, a step at a time, on bytes: the type that could decode the old payload need
// not live on in the program.

/// One step from a schema to the next: a pure function of the payload.
public struct Migration: Sendable {
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

/// The steps of one state file, in order.
struct MigrationPath: Sendable {
    private let steps: [UInt32: Migration]
    let schema: UInt32

    /// Two steps from one schema, or one from the present schema on, are a mistake in the program.
    init(_ migrations: [Migration], to schema: UInt32) {
        precondition(migrations.allSatisfy { $0.from < schema }, "a migration leads past the state file's schema")
        self.schema = schema
        steps = Dictionary(migrations.map { ($0.from, $0) }) { first, _ in
            preconditionFailure("two migrations from schema \(first.from)")
        }
    }

    /// The payload in the present schema.
    func migrate(
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
