// SPDX-License-Identifier: Apache-2.0
//
// A writer that tests kill: it adds one to a two-slot state for ever, and puts a byte into a log for each time that it was
// told that the sum is saved.

internal import ArgumentParser
internal import Holdfast

struct IncrementCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "increment",
        abstract: "Adds one to a state again and again, until it is killed.",
        shouldDisplay: false
    )

    @Argument(help: "The state file.")
    var path: String

    @Argument(help: "Gets one byte for each addition that is saved.")
    var log: String

    private struct DecimalCodec: StateCodec {
        struct NotANumber: Error {}

        func encode(_ value: Int) -> [UInt8] { Array("\(value)".utf8) }

        func decode(_ bytes: [UInt8]) throws -> Int {
            guard let value = Int(String(decoding: bytes, as: UTF8.self)) else { throw NotANumber() }
            return value
        }
    }

    func run() throws {
        let (directory, name) = try Directory.resolve(log)
        let log = try directory.open(name, .readWriteOrCreate(permissions: 0o600))
        let state = try StateFile(path: path, codec: DecimalCodec(), options: StateOptions(strategy: .twoSlot))
        var count: Int64 = 0
        while true {
            try state.update { $0 += 1 }
            try unsafe [UInt8(ascii: "+")].withUnsafeBytes { try unsafe log.writeAll($0, at: count) }
            count += 1
            if count == 1 { try writeLine("begun") }
        }
    }

    private func writeLine(_ text: String) throws {
        let output = KernelFileSystem()
        try unsafe Array("\(text)\n".utf8).withUnsafeBytes { bytes in
            _ = try unsafe output.write(1, bytes, UnsafeRawBufferPointer(start: nil, count: 0), at: 0)
        }
    }
}
