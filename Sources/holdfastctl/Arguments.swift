// SPDX-License-Identifier: Apache-2.0
//
// The arguments as bytes. Swift's strings are UTF-8, and a path of other bytes would silently become another path.

internal import ArgumentParser
internal import Holdfast

enum Arguments {
    /// Refuses arguments of ours that are not UTF-8.
    ///
    /// Those of a command after `--` are passed on as they are.
    static func check() throws(CommandFailure) {
        for index in 0..<Int(CommandLine.argc) {
            guard let argument = unsafe CommandLine.unsafeArgv[index] else { return }
            guard let text = unsafe String(validatingCString: argument) else {
                throw CommandFailure(.usage, "argument \(index) is not UTF-8")
            }
            if text == "--" { return }
        }
    }

    /// Refuses a path that ends in a slash, in `.` or in `..`, or is empty: it names no file.
    static func checkNamesFile(_ path: String) throws(ValidationError) {
        let last = path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        if FileName(String(last)) == nil { throw ValidationError("'\(path)' does not name a file") }
    }

    /// The last arguments as they came, ended by a null pointer, for execve(2).
    static func last(_ count: Int) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> {
        unsafe CommandLine.unsafeArgv + (Int(CommandLine.argc) - count)
    }
}

/// The `--json` of every command.
struct JSONOption: ParsableArguments {
    @Flag(name: .customLong("json"), help: "Print one JSON object per line.")
    var isOn = false
}
