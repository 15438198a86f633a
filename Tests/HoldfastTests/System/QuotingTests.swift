// SPDX-License-Identifier: Apache-2.0
//
// What people are shown of names that others chose.

import Foundation
import Holdfast
import Testing

@Suite(.temporaryDirectory)
struct QuotingTests {
    @Test(arguments: [
        ("a b", "'a b'", "a b"), ("caf\u{e9}", "'caf\u{e9}'", "caf\u{e9}"), ("it's", #"$'it\'s'"#, "it's"),
        ("a\u{1b}[31m\n", #"$'a\x1b[31m\n'"#, #"$'a\x1b[31m\n'"#), ("\u{9b}", #"$'\xc2\x9b'"#, #"$'\xc2\x9b'"#),
        ("\u{202e}", #"$'\xe2\x80\xae'"#, #"$'\xe2\x80\xae'"#), ("$'a'", #"$'$\'a\''"#, #"$'$\'a\''"#),
        (String(pathBytes: [0x61, 0xe9, 0x66, 0x5c]), #"$'a\xe9f\\'"#, #"$'a\xe9f\\'"#),
    ])
    func hidesNothingAndObeysNothing(path: String, between: String, bare: String) {
        #expect(quoted(path) == between)
        #expect(shown(path) == bare)
    }

    @Test func bashReadsThemBack() throws {
        let bytes = (1...255).map { UInt8($0) }
        let child = try Child("/bin/bash", ["-c", "printf %s \(quoted(String(pathBytes: bytes))) | od -An -v -tx1"])
        guard child.wait() == 0 else {
            print("NOT RUN: \(#function) needs bash")
            return
        }
        #expect(child.printed.split(whereSeparator: \.isWhitespace).map { UInt8($0, radix: 16) } == bytes)
    }

    @Test func errorsShowNamesSo() throws {
        let path = "\(TemporaryDirectory.current)/a\u{1b}[2J\n"
        try "no lock file".write(toFile: path, atomically: false, encoding: .utf8)
        let lockError = #expect(throws: LockError.self) { _ = try LockFile(path).tryLock() }
        let stateError = #expect(throws: StateError.self) { _ = try StateFile<[UInt8]>(path).load() }
        let copyError = #expect(throws: StateError.self) { _ = try StateFile<[UInt8]>(path).restorePrevious() }
        for message in ["\(try #require(lockError))", "\(try #require(stateError))", "\(try #require(copyError))"] {
            #expect(message.contains(#"/a\x1b[2J\n"#), "\(message)")
            #expect(message.unicodeScalars.allSatisfy { $0.value >= 0x20 }, "\(message)")
        }
    }

    @Test func aLabelMayBeginWithAMark() throws {
        let file = try LockFile("\(TemporaryDirectory.current)/a.lock", label: "\u{301}a")
        guard case .acquired(let lock) = try file.tryLock() else { throw Failed("busy") }
        guard case .held(let holder) = try file.status() else { throw Failed("not held") }
        #expect(holder.record?.label == "\u{301}a")
        try lock.release()
    }

    @Test func aLabelIsCutBetweenCharacters() throws {
        let path = "\(TemporaryDirectory.current)/a.lock"
        let file = try LockFile(path, label: "ab" + String(repeating: "\u{20ac}", count: 30) + "\u{1b}")
        guard case .acquired(let lock) = try file.tryLock() else { throw Failed("busy") }
        guard case .held(let holder) = try file.status() else { throw Failed("not held") }
        #expect(holder.name == "ab" + String(repeating: "\u{20ac}", count: 20))
        let bytes = try Data(contentsOf: URL(filePath: path))
        #expect(String(validating: bytes, as: UTF8.self) != nil)
        try lock.release()
    }
}
