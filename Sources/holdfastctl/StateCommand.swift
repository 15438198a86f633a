// SPDX-License-Identifier: Apache-2.0
//
// The `state` commands: `load` and `verify` here, the others in StateSave.swift and StateConvert.swift. They work on
// bytes, so any schema is as good as another; what a schema means is the business of the program whose state it is.

internal import ArgumentParser
internal import Holdfast

struct StateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "state",
        abstract: "Save, load, verify, convert and restore durable state.",
        discussion: """
            Examples:
              holdfastctl state save settings < settings.json
              holdfastctl state load settings > settings.json
              holdfastctl state verify /var/lib/service/*.state
              holdfastctl state convert settings --strategy two-slot
              holdfastctl state restore settings
            """,
        subcommands: [StateSave.self, StateLoad.self, StateVerify.self, StateConvert.self, StateRestore.self]
    )

    func run() throws {
        throw missingCommand("holdfastctl state")
    }
}

struct StateLoad: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Print the payload of a state file, once it is verified.",
        discussion: """
            Prints the payload to standard output byte for byte, after the whole of it is verified. Exit status: 65 \
            corrupt, 66 no such file or not readable, 77 not a state file, or of a newer version.

            JSON keys, instead of the payload: path, pathBytes (the bytes in hexadecimal of a path that is not UTF-8, else \
            null), generation, schema, length, strategy, token,            durability (null: a file does not record it), directorySyncError, reason (the damage of the other slot of \
            a two-slot file, if it is damaged).

            Examples:
              holdfastctl state load settings
              holdfastctl state load --json settings
            """
    )

    @Argument(help: "The state file.")
    var path: String

    @OptionGroup var json: JSONOption

    func validate() throws {
        try Arguments.checkNamesFile(path)
    }

    func run() throws {
        let (payload, report) = try attempting(.reading) { try StateAccess.load(path) }
        if json.isOn {
            try Output.line(StateLine(path, report).json)
        } else {
            if let rejected = report.rejected {
                diagnose(
                    "warning: \(quoted(path)): this is generation \(report.generation), from the sound slot: \(rejected)"
                )
            }
            try StandardStreams.write(payload)
        }
    }
}

struct StateVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check state files, and describe them.",
        discussion: """
            Prints a line for each file. Changes nothing. The exit status is that of the gravest finding: 65 corrupt, \
            74 an I/O error (in one slot of a two-slot file, too), 77 a newer format or not a regular file, 66 no such \
            file or not readable, 0 all sound.

            JSON keys: path, pathBytes, generation, schema, length, strategy, token,            durability (null), directorySyncError (null), reason (null, or the damage).

            Examples:
              holdfastctl state verify settings
              holdfastctl state verify --json /var/lib/service/*.state
            """
    )

    @Argument(help: ArgumentHelp("State files.", valueName: "path"))
    var paths: [String]

    @OptionGroup var json: JSONOption

    func validate() throws {
        for path in paths { try Arguments.checkNamesFile(path) }
    }

    func run() throws {
        var gravest = ExitStatus.done
        for path in paths {
            let line: StateLine
            do throws(StateError) {
                let report = try StateFile<[UInt8]>(path).verify()
                line = StateLine(path, report)
                if let rejected = report.rejected { gravest = max(gravest, ExitStatus(rejected, .reading)) }
            } catch {
                line = StateLine(path, reason: "\(error)")
                gravest = max(gravest, ExitStatus(error, .reading))
            }
            if json.isOn { try Output.line(line.json) } else { try Output.line(line.text) }
        }
        if gravest != .done { throw ExitCode(gravest.rawValue) }
    }
}

/// One result of a `state` command.
struct StateLine {
    let path: String
    var generation: Generation?
    var schema: UInt32?
    var length: Int?
    var token: FencingToken?
    var strategy: StateStrategy?
    var durability: StateDurability?
    var directorySyncError: SystemError?
    var reason: String?

    init(_ path: String, reason: String) {
        self.path = path
        self.reason = reason
    }

    init(_ path: String, _ report: LoadReport) {
        self.path = path
        generation = report.generation
        schema = report.schema
        length = report.length
        strategy = report.strategy
        token = report.token
        reason = report.rejected.map { "\($0)" }
    }

    init(_ path: String, _ commit: StateCommit, schema: UInt32) {
        self.path = path
        generation = commit.generation
        self.schema = schema
        length = commit.length
        strategy = commit.strategy
        token = commit.token
        durability = commit.durability
        directorySyncError = commit.directorySyncError
    }

    var json: [String: JSONValue] {
        [
            "path": .path(path),
            "pathBytes": .bytes(of: path),
            "generation": .count(generation?.value),
            "schema": .count(schema.map { UInt64($0) }),
            "length": .count(length.map { UInt64($0) }),
            "strategy": .text(strategy?.description),
            "token": .count(token?.value),
            "durability": .text(durability.map { DurabilityArgument($0).rawValue }),
            "directorySyncError": .text(directorySyncError.map { "\($0)" }),
            "reason": .text(reason),
        ]
    }

    /// Prints it.
    ///
    /// Should that fail, the message begins with what has been done all the same.
    func print(_ json: JSONOption, otherwise done: String) throws(CommandFailure) {
        do throws(CommandFailure) {
            if json.isOn { try Output.line(self.json) } else { try Output.line(text) }
        } catch {
            throw CommandFailure(error.status, "\(done); but \(error.message)")
        }
    }

    var text: String {
        guard let generation, let schema, let length, let strategy else {
            return "\(shown(path)): \(reason ?? "unknown")"
        }
        var text = "\(shown(path)): generation \(generation), schema \(schema), \(length) bytes, \(strategy)"
        if let token { text += ", token \(token)" }
        if let durability { text += ", \(DurabilityArgument(durability).rawValue)" }
        if let reason { text += "; the other slot was rejected: \(reason)" }
        return text
    }
}
