// SPDX-License-Identifier: Apache-2.0
//
// `state save`: standard input, whole, becomes the state.

internal import ArgumentParser
internal import Holdfast

struct StateSave: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "save",
        abstract: "Replace a state by what is on standard input.",
        discussion: """
            Reads standard input to its end, up to 256 MiB, and then replaces the state at once: whoever loads it sees \
            the old one or the new one, whole. When it exits with 0 the new state is in place, and with power-loss, the \
            default, no power cut takes it back. Should the file system be unable to flush the directory, it is in place \
            all the same: then a warning says so, and directorySyncError why. With any other exit status the old state \
            stands, with two exceptions: 74 and a message that begins with the path and "is saved", when only the result \
            could not be printed; and 74 when the flush of a save in place failed, whose message says that the outcome is \
            not known.

            With two-slot the file is written in place, with one flush, and may be a mount point itself. A file of the \
            other strategy is converted, whose generation, schema and token go on.

            An empty file, as touch(1) makes it for a mount, becomes a state with --adopt-empty, unless there is a \
            previous copy of it; a mount point needs --strategy two-slot as well.

            Exit status: 77 if the state has another generation than --if-generation says, a later token than --token, \
            or a newer schema or format; 65 if the present file is corrupt, which is never replaced; 73 if the file \
            cannot be made, 74 if writing it failed.

            JSON keys: path, generation, schema, length, strategy, token, durability, directorySyncError, reason.

            Examples:
              echo '{"port": 8080}' | holdfastctl state save settings
              holdfastctl state save --if-generation 0 settings < first.json
              holdfastctl state save --strategy two-slot --capacity 65536 counters < counters.json
              holdfastctl state save --token "$HOLDFAST_TOKEN" --json settings < new.json
            """
    )

    @Argument(help: "The state file.")
    var path: String

    @Option(help: "How the state is kept from now on; by default as it is, and a new one with replace.")
    var strategy: StrategyArgument?

    @Option(help: ArgumentHelp("Room for payloads of this length, with two-slot only.", valueName: "bytes"))
    var capacity: Int?

    @Option(help: ArgumentHelp("The schema of the payload; by default the stored one, or 1.", valueName: "n"))
    var schema: UInt32?

    @Option(help: ArgumentHelp("Save only if the state has this generation; 0: if there is none.", valueName: "n"))
    var ifGeneration: UInt64?

    @Option(help: ArgumentHelp("Save only if the state has no later fencing token than this.", valueName: "n"))
    var token: UInt64?

    @Option(help: "What the saved state survives.")
    var durability: DurabilityArgument = .powerLoss

    @Flag(name: .customLong("adopt-empty"), help: "Make a state of an empty file, which else counts as corrupt.")
    var adoptsEmpty = false

    @OptionGroup var access: AccessOptions

    @OptionGroup var json: JSONOption

    func validate() throws {
        try Arguments.checkNamesFile(path)
        if capacity != nil && strategy != .twoSlot { throw ValidationError("--capacity is for --strategy two-slot") }
        if let capacity, !(0...StateOptions.defaultMaximumLength).contains(capacity) {
            throw ValidationError("--capacity takes a number up to \(StateOptions.defaultMaximumLength)")
        }
        if token == 0 { throw ValidationError("--token takes a number of 1 or more, as locks give out") }
    }

    func run() throws {
        let payload = try StandardStreams.readAll(limit: StateOptions.defaultMaximumLength)
        let (commit, savedSchema) = try attempting(.writing) {
            try StateAccess.save(
                payload,
                to: path,
                options: StateOptions(
                    strategy: strategy?.strategy ?? .asFound,
                    capacity: capacity,
                    adoptsEmpty: adoptsEmpty,
                    permissions: access.permissions,
                    group: access.group
                ),
                schema: schema,
                ifGeneration: ifGeneration.map { Generation($0) },
                fence: token.map { FencingToken($0) },
                durability: durability.durability
            )
        }
        if let error = commit.directorySyncError {
            diagnose("warning: '\(path)' is saved, but a power cut may bring back the old state: \(error)")
        }
        try StateLine(path, commit, schema: savedSchema).print(
            json,
            otherwise: "'\(path)' is saved, as generation \(commit.generation)"
        )
    }
}

struct StateConvert: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Keep the same state by another strategy from now on.",
        discussion: """
            The payload, the generation, the schema and the token stay; a crash leaves the old file or the new one. A \
            file that is kept so already is verified and left alone.

            Exit status: 65 if the present file is corrupt, 66 if there is none, 73 if the new one cannot be made, 74 if \
            writing it failed; the old file then stands.

            JSON keys: path, generation, schema, length, strategy, token, durability, directorySyncError, reason.

            Examples:
              holdfastctl state convert counters --strategy two-slot
              holdfastctl state convert counters --strategy replace
            """
    )

    @Argument(help: "The state file.")
    var path: String

    @Option(help: "How the state is kept from now on.")
    var strategy: StrategyArgument

    @OptionGroup var access: AccessOptions

    @OptionGroup var json: JSONOption

    func validate() throws {
        try Arguments.checkNamesFile(path)
    }

    func run() throws {
        let (commit, report) = try attempting(.writing) {
            let options = StateOptions(permissions: access.permissions, group: access.group)
            let file = try StateFile<[UInt8]>(path: path, options: options)
            return (try file.convert(to: strategy.strategy), try file.verify())
        }
        var line = StateLine(path, report)
        line.durability = commit?.durability
        if let error = commit?.directorySyncError {
            line.directorySyncError = error
            diagnose("warning: '\(path)' is converted, but a power cut may bring back the old file: \(error)")
        }
        try line.print(json, otherwise: "'\(path)' is kept by \(report.strategy) now")
    }
}

/// ``StateStrategy`` as it stands on the command line.
enum StrategyArgument: String, ExpressibleByArgument, CaseIterable {
    case replace
    case twoSlot = "two-slot"

    var strategy: StateStrategy {
        switch self {
        case .replace: .replace
        case .twoSlot: .twoSlot
        }
    }
}

/// ``Durability`` as it stands on the command line and in its output.
enum DurabilityArgument: String, ExpressibleByArgument, CaseIterable {
    case powerLoss = "power-loss"
    case processCrash = "process-crash"

    init(_ durability: Durability) {
        switch durability {
        case .powerLoss: self = .powerLoss
        case .processCrash: self = .processCrash
        }
    }

    var durability: Durability {
        switch self {
        case .powerLoss: .powerLoss
        case .processCrash: .processCrash
        }
    }
}
