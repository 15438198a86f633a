// SPDX-License-Identifier: Apache-2.0
//
// `state convert` and `state restore`: the file is made another one, from what is there.

internal import ArgumentParser
internal import Holdfast

struct StateConvert: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Keep the same state by another strategy from now on.",
        usage: """
            holdfastctl state convert --strategy replace|two-slot
                [--permissions MODE] [--group NAME] [--json] PATH
            """,
        discussion: """
            The payload, the generation, the schema and the token stay; a crash leaves the old file or the new one. A \
            file that has the strategy already is verified and left alone.

            Exit status: 65 if the current file is corrupt, 66 if it is missing, 73 if the new file cannot be made, 74 \
            if writing it failed; the old file then stands.

            JSON keys: path, pathBytes, generation, schema, length, strategy, token, durability, directorySyncError, \
            reason.

            Examples:
              holdfastctl state convert counters --strategy two-slot
              holdfastctl state convert counters --strategy replace
            """
    )

    @Argument(help: "The state file.")
    var path: String

    @Option(help: "The strategy from now on.")
    var strategy: StrategyArgument

    @OptionGroup var access: AccessOptions

    @OptionGroup var json: JSONOption

    func validate() throws {
        try Arguments.checkNamesFile(path)
    }

    func run() throws {
        let (commit, report) = try attempting(.writing) {
            let options = StateOptions(permissions: access.permissions, group: access.group)
            let file = try StateFile<[UInt8]>(path, options: options)
            return (try file.convert(to: strategy.strategy), try file.verify())
        }
        var line = StateLine(path, report)
        line.durability = commit?.durability
        if let error = commit?.directorySyncError {
            line.directorySyncError = error
            diagnose("warning: \(quoted(path)) is converted, but a power cut may bring back the old file: \(error)")
        }
        try line.print(json, otherwise: "\(quoted(path)) is kept by \(report.strategy) now")
    }
}

struct StateRestore: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Bring back the state that the last save replaced.",
        usage: """
            holdfastctl state restore [--token N] [--timeout SECONDS] [--json] PATH
            """,
        discussion: """
            Replaces the state by .NAME.previous, which a save with --keep-previous has kept, or in a two-slot file by \
            the other slot, under the next generation. The copy is verified first. The replaced state, damaged or not, \
            is not kept.

            Exit status: 65 if the copy is corrupt, too, 66 if it is missing, 73 if the file cannot be made, 74 if \
            writing it failed, 75 if another writer holds the state's lock until --timeout, 77 if the state has a later \
            token than --token; the old file then stands.

            JSON keys: path, pathBytes, generation, schema, length, strategy, token, durability, directorySyncError, \
            reason.

            Examples:
              holdfastctl state restore settings
              holdfastctl state restore --timeout 5 --json settings
            """
    )

    @Argument(help: "The state file.")
    var path: String

    @Option(help: ArgumentHelp("Restore only if the state has no later fencing token than this.", valueName: "n"))
    var token: UInt64?

    @Option(help: ArgumentHelp("Give up after this time; 0 tries once.", valueName: "seconds"))
    var timeout: Double?

    @OptionGroup var json: JSONOption

    func validate() throws {
        try Arguments.checkNamesFile(path)
        try Arguments.checkTimeout(timeout)
        try Arguments.checkToken(token)
    }

    func run() throws {
        let (commit, report) = try attempting(.writing) {
            let file = try StateFile<[UInt8]>(path)
            let fence = token.map { Fence(FencingToken($0)) }
            return (try file.restorePrevious(fence: fence, deadline: Arguments.deadline(timeout)), try file.verify())
        }
        if let error = commit.directorySyncError {
            diagnose("warning: \(quoted(path)) is restored, but a power cut may bring back the old file: \(error)")
        }
        try StateLine(path, commit, schema: report.schema).print(
            json,
            otherwise: "\(quoted(path)) is restored, as generation \(commit.generation)"
        )
    }
}
