// SPDX-License-Identifier: Apache-2.0
//
// What the commands have in common in reading their arguments, which are paths of any bytes.

internal import ArgumentParser
internal import Holdfast

enum Arguments {
    /// Refuses an option that is given nothing: `--timeout=$UNSET`.
    ///
    /// The parser would take the next argument for its value, and blame that.
    ///
    /// - Parameter arguments: Those of a command after `--` are not looked at.
    /// - Throws: ``CommandFailure`` for a wrong usage.
    static func check(_ arguments: [String]) throws(CommandFailure) {
        for argument in arguments.prefix(while: { $0 != "--" })
        where argument.utf8.starts(with: "--".utf8) && argument.utf8.last == UInt8(ascii: "=") {
            let option = shown(String(argument.dropLast()))
            throw CommandFailure(.usage, "the value of \(option) is empty")
        }
    }

    /// Refuses a path that ends in a slash, in `.` or in `..`, or is empty: it names no file.
    static func checkNamesFile(_ path: String) throws(ValidationError) {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        if FileName(String(path[(slash.map(path.utf8.index(after:)) ?? path.startIndex)...])) == nil {
            throw ValidationError("\(quoted(path)) does not name a file")
        }
    }

    /// Refuses what is no time to wait.
    static func checkTimeout(_ seconds: Double?) throws(ValidationError) {
        if let seconds, !(seconds >= 0 && seconds.isFinite) {
            throw ValidationError("--timeout takes a number of seconds, 0 or more")
        }
    }

    /// Refuses the token that no lock gives out.
    static func checkToken(_ token: UInt64?) throws(ValidationError) {
        if token == 0 { throw ValidationError("--token takes a number of 1 or more, as locks give out") }
    }

    /// The end of a time in seconds from now.
    static func deadline(_ timeout: Double?) -> ContinuousClock.Instant? {
        // A thousand years and more is forever, and more than a Duration can hold must not be made into one.
        guard let timeout, timeout < 3e10 else { return nil }
        return .now + .seconds(timeout)
    }
}

/// The `--json` of every command.
struct JSONOption: ParsableArguments {
    @Flag(name: .customLong("json"), help: "Print one JSON object per line.")
    var isOn = false
}
