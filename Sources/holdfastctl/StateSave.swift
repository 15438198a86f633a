// SPDX-License-Identifier: Apache-2.0
//
// `state save`: standard input, whole, becomes the state.

internal import ArgumentParser
internal import Holdfast

struct StateSave: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "save",
        abstract: "Replace a state by the contents of standard input.",
        usage: """
            holdfastctl state save [--allow-empty] [--adopt-empty]
                [--keep-previous] [--permissions MODE] [--group NAME]
                [--timeout SECONDS] [--strategy replace|two-slot]
                [--capacity BYTES] [--schema N] [--if-generation N] [--token N]
                [--durability power-loss|process-crash] [--json] PATH
            """,
        discussion: """
            Reads standard input to its end, up to 256 MiB, and then replaces the state in one step: a reader sees the \
            old state or the new one, whole. An empty standard input is refused, because a failed producer leaves it \
            so, unless --allow-empty is given. When it exits with 0 the new state is in place, and with power-loss, \
            the default, no power cut takes it back. If the file system cannot flush the directory, the new state is \
            in place nevertheless: a warning says so, and directorySyncError gives the reason. With any other exit \
            status the old state stands, with two exceptions: 74 and a message that begins with the path and "is \
            saved", when only the result could not be printed; and 74 when the flush of a save in place failed, and \
            the message says that the outcome is not known.

            With two-slot the file is written in place, with one flush, and may be a mount point itself.            A file of the other strategy is converted; its generation, schema and token go on. With --keep-previous \
            the old state is kept as .NAME.previous, and 'state restore' brings it back; with two-slot the other slot \
            always has it.

            An empty file, as touch(1) makes it for a mount, becomes a state with --adopt-empty, unless it has a \
            previous copy; a mount point needs --strategy two-slot as well.

            Exit status: 65 if standard input is empty; 75 if another writer holds the state's lock until --timeout; 77 \
            if the state has another generation than --if-generation says, a later token than --token, \
            or a newer schema or format; 65 if the current file is corrupt, which is never replaced; 73 if the file \
            cannot be made, 74 if writing it failed.

            JSON keys: path, pathBytes, generation, schema, length, strategy, token, durability, directorySyncError, \
            reason.

            Examples:
              echo '{"port": 8080}' | holdfastctl state save settings
              holdfastctl state save --if-generation 0 settings < first.json
              holdfastctl state save --keep-previous --timeout 5 settings < new.json
              holdfastctl state save --strategy two-slot --capacity 65536 n < n.json
              holdfastctl state save --token "$HOLDFAST_TOKEN" settings < new.json
            """
    )

    @Argument(help: "The state file.")
    var path: String

    @Option(help: "The strategy from now on; by default the current one, and replace for a new state.")
    var strategy: StrategyArgument?

    @Option(help: ArgumentHelp("Room for payloads of this length, with two-slot only.", valueName: "bytes"))
    var capacity: Int?

    @Option(help: ArgumentHelp("The schema of the payload; by default the stored one, or 1.", valueName: "n"))
    var schema: UInt32?

    @Option(help: ArgumentHelp("Save only if the state has this generation; 0: if there is none.", valueName: "n"))
    var ifGeneration: UInt64?

    @Option(help: ArgumentHelp("Save only if the state has no later fencing token than this.", valueName: "n"))
    var token: UInt64?

    @Flag(name: .customLong("allow-empty"), help: "Save a payload of no bytes, too.")
    var allowsEmpty = false

    @Flag(name: .customLong("keep-previous"), help: "Keep the old state for 'state restore'.")
    var keepsPrevious = false

    @Option(help: ArgumentHelp("Give up after this time; 0 tries once.", valueName: "seconds"))
    var timeout: Double?

    @Option(help: "The crashes that the saved state survives.")
    var durability: DurabilityArgument = .powerLoss

    @Flag(name: .customLong("adopt-empty"), help: "Make an empty file, which otherwise counts as corrupt, a state.")
    var adoptsEmpty = false

    @OptionGroup var access: AccessOptions

    @OptionGroup var json: JSONOption

    func validate() throws {
        try Arguments.checkNamesFile(path)
        if capacity != nil && strategy != .twoSlot { throw ValidationError("--capacity is for --strategy two-slot") }
        if let capacity, !(0...StateOptions.defaultMaximumLength).contains(capacity) {
            throw ValidationError("--capacity takes a number up to \(StateOptions.defaultMaximumLength)")
        }
        try Arguments.checkToken(token)
        try Arguments.checkTimeout(timeout)
    }

    func run() throws {
        let payload = try StandardStreams.readAll(limit: StateOptions.defaultMaximumLength)
        if payload.isEmpty && !allowsEmpty {
            throw CommandFailure(
                .corrupt,
                """
                saving \(shown(path)): standard input is empty; the old state stands; --allow-empty saves such a payload \
                all the same
                """
            )
        }
        let (commit, savedSchema) = try attempting(.writing) {
            try StateAccess.save(
                payload,
                to: path,
                options: StateOptions(
                    strategy: strategy?.strategy ?? .asFound,
                    capacity: capacity,
                    keepsPrevious: keepsPrevious,
                    adoptsEmpty: adoptsEmpty,
                    permissions: access.permissions,
                    group: access.group
                ),
                schema: schema,
                ifGeneration: ifGeneration.map { Generation($0) },
                fence: token.map { Fence(FencingToken($0)) },
                durability: durability.durability,
                deadline: Arguments.deadline(timeout)
            )
        }
        if let error = commit.directorySyncError {
            diagnose("warning: \(quoted(path)) is saved, but a power cut may bring back the old state: \(error)")
        }
        try StateLine(path, commit, schema: savedSchema).print(
            json,
            otherwise: "\(quoted(path)) is saved, as generation \(commit.generation)"
        )
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

/// ``StateDurability`` as it stands on the command line and in its output.
enum DurabilityArgument: String, ExpressibleByArgument, CaseIterable {
    case powerLoss = "power-loss"
    case processCrash = "process-crash"

    init(_ durability: StateDurability) {
        switch durability {
        case .powerLoss: self = .powerLoss
        case .processCrash: self = .processCrash
        }
    }

    var durability: StateDurability {
        switch self {
        case .powerLoss: .powerLoss
        case .processCrash: .processCrash
        }
    }
}
