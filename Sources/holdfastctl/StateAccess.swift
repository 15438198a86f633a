// SPDX-License-Identifier: Apache-2.0
//
// State of any schema. The library's types have one schema each, for good reason; a tool that carries bytes takes the
// schema that it finds. Another process may save another schema at any moment, so a try may fail: then it is repeated.

internal import Holdfast

enum StateAccess {
    /// How often another process may change the schema before the tool reports it.
    private static let tries = 8

    /// The payload, verified, as it is stored.
    static func load(_ path: String) throws(StateError) -> (payload: [UInt8], report: LoadReport) {
        var schema: UInt32 = 1
        var failures = 0
        while true {
            do throws(StateError) {
                let (payload, report) = try StateFile<[UInt8]>(path, schema: schema).loadWithReport()
                return (payload, report)
            } catch {
                failures += 1
                guard
                    error.code == .newerSchema || error.code == .missingMigration, failures < tries,
                    let found = error.found, let stored = UInt32(exactly: found)
                else { throw error }
                schema = stored
            }
        }
    }

    /// Saves under the schema that is given, or else under the one that is stored, or 1 if there is no state yet.
    static func save(
        _ payload: [UInt8],
        to path: String,
        options: StateOptions,
        schema given: UInt32?,
        ifGeneration expected: Generation?,
        fence: Fence?,
        durability: StateDurability,
        deadline: ContinuousClock.Instant?
    ) throws(StateError) -> (commit: StateCommit, schema: UInt32) {
        var failures = 0
        while true {
            let schema = given ?? storedSchema(path, options)
            do throws(StateError) {
                let file = try StateFile<[UInt8]>(path, schema: schema, options: options)
                let commit = try file.save(
                    payload,
                    ifGeneration: expected,
                    fence: fence,
                    durability: durability,
                    deadline: deadline
                )
                return (commit, schema)
            } catch {
                failures += 1
                guard given == nil, error.code == .newerSchema, failures < tries else { throw error }
            }
        }
    }

    /// The schema that is stored, 1 if there is no state yet or an empty file is to become one, and 0 if that cannot be
    /// found out.
    ///
    /// With 0 the save itself meets the same failure, and says that it is of a save; or it finds a newer schema.
    private static func storedSchema(_ path: String, _ options: StateOptions) -> UInt32 {
        do throws(StateError) {
            return try StateFile<[UInt8]>(path).verify().schema
        } catch {
            let isEmpty = error.corruption?.check == .tooShort && error.corruption?.found == 0
            return error.code == .notFound || options.adoptsEmpty && isEmpty ? 1 : 0
        }
    }
}
