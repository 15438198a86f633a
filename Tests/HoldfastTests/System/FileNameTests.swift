// SPDX-License-Identifier: Apache-2.0
//
// A name is one component, so that nothing below a directory can lead out of it.

import Holdfast
import Testing

@Suite
struct FileNameTests {
    @Test(
        arguments: ["", ".", "..", "/", "a/b", "/a", "a/", "../a", "a\0", "\0", String(repeating: "a", count: 256)]
            + [String(repeating: "\u{E9}", count: 128)]
    )
    func isRefused(_ text: String) {
        #expect(FileName(text) == nil)
    }

    @Test(
        arguments: ["a", "...", ".a", "a.", " ", "-", "a\nb", "\\", "\u{E9}", String(repeating: "a", count: 255)]
    )
    func isTakenAsItIs(_ text: String) throws {
        let name = try #require(FileName(text))
        #expect(Array(name.description.utf8) == Array(text.utf8))
    }

    @Test(arguments: [
        [0x61, 0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0xaf], Array("\u{10FF80}".utf8), [0xe9, 0x41],
    ])
    func bytesThatAreNotTextStayWhatTheyAre(_ bytes: [UInt8]) throws {
        let name = try #require(FileName(bytes: bytes))
        #expect(name.bytes == bytes)
        #expect(FileName(name.description) == name)
        #expect(name.companion("lock")?.bytes == Array(".".utf8) + bytes + Array(".lock".utf8))
        #expect(FileName(bytes: bytes + [0]) == nil)
        #expect(FileName(bytes: bytes + Array("/a".utf8)) == nil)
    }

    @Test
    func bytesMakeTheSameNameAsTheirText() throws {
        #expect(FileName(bytes: Array("\u{E9}".utf8)) == FileName("\u{E9}"))
        // Two stand-ins of bytes that are a character together: one file, one name.
        #expect(FileName("\u{10FFC3}\u{10FFA9}") == FileName("\u{E9}"))
        #expect(FileName(bytes: [UInt8](repeating: 0xff, count: 255))?.bytes.count == 255)
        #expect(FileName(bytes: [UInt8](repeating: 0xff, count: 256)) == nil)
    }

    /// 255 is a limit of bytes, not of characters.
    @Test
    func companionsKeepTheLimit() throws {
        let longest = try #require(FileName(String(repeating: "a", count: 248)))
        #expect(longest.companion("lock")?.description == ".\(longest).lock")
        #expect(longest.companion("locks")?.description.utf8.count == 255)
        #expect(longest.companion("locked") == nil)
        #expect(longest.uniqueCompanion("tmp") == nil)
    }

    @Test
    func uniqueCompanionsAreKnownAgain() throws {
        let name = FileName("state")
        let companion = try #require(name.uniqueCompanion("tmp"))
        #expect(try #require(name.uniqueCompanion("tmp")) != companion)
        #expect(name.isUniqueCompanion(companion.description, suffix: "tmp"))
        #expect(!name.isUniqueCompanion(companion.description, suffix: "removing"))
        #expect(!name.isUniqueCompanion("x" + companion.description, suffix: "tmp"))
        let other = FileName("state.more")
        #expect(!other.isUniqueCompanion(companion.description, suffix: "tmp"))
        let others = try #require(other.uniqueCompanion("tmp"))
        #expect(!name.isUniqueCompanion(others.description, suffix: "tmp"))
    }

    @Test(
        arguments: [
            ".state..tmp", ".state.tmp", ".state.0123456789abcde.tmp", ".state.0123456789abcdefa.tmp",
            ".state.0123456789ABCDEF.tmp", ".state.0123456789abcdeg.tmp", ".state.0123456789abcdef", "state",
        ]
    )
    func whatOthersNamedIsNotOurs(_ text: String) throws {
        #expect(!FileName("state").isUniqueCompanion(text, suffix: "tmp"))
    }

    @Test("A literal is a name, without a test for nil")
    func literals() {
        let name: FileName = "state"
        #expect(name.description == "state")
        #expect(FileName("state") == name)
    }

    @Test("A literal that is no component ends the program, with a sentence that says why")
    func wrongLiteral() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                let name: FileName = "../state"
                print(name)
            }
        )
        let text = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(text.contains("'../state' is not a file name: it has to be one component of a path"))
    }

    @Test("Two spellings of one character are two names, as they are two files")
    func spellings() throws {
        let (composed, decomposed) = ("\u{e9}", "e\u{301}")
        #expect(composed == decomposed)
        let names = [try #require(FileName(composed)), try #require(FileName(decomposed))]
        #expect(names[0] != names[1])
        #expect(Set(names).count == 2)
        #expect(names[0].isUniqueCompanion(".\(composed).0123456789abcdef.tmp", suffix: "tmp"))
        #expect(!names[0].isUniqueCompanion(".\(decomposed).0123456789abcdef.tmp", suffix: "tmp"))
    }
}
