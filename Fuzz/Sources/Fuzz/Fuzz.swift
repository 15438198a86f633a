// SPDX-License-Identifier: Apache-2.0
//
// What libFuzzer calls with each input. Every target puts bytes where Holdfast reads them, goes through the public calls,
// and checks what must hold of the answer, whatever the bytes are; a check that fails ends the process, as a trap of
// Holdfast's would.

internal import Holdfast

/// A kind of bytes that others may have damaged.
enum FuzzTarget: String, CaseIterable {
    case stateFrame = "state-frame"
    case twoSlotFile = "two-slot-file"
    case lockRecord = "lock-record"
    case pidFile = "pid-file"
    case arenaHeader = "arena-header"

    /// The one that `--target=NAME` names, an argument that libFuzzer itself passes over.
    static let chosen: FuzzTarget = {
        let prefix = "--target="
        let name = CommandLine.arguments.first { $0.hasPrefix(prefix) }?.dropFirst(prefix.count)
        guard let target = name.flatMap({ FuzzTarget(rawValue: String($0)) }) else {
            fatalError("--target= is one of \(allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return target
    }()

    /// Tries one input.
    ///
    /// Its first byte chooses what is done, the others are the bytes.
    func run(_ input: [UInt8]) throws {
        guard let first = input.first else { return }
        let (choice, bytes) = (FuzzChoice(rawValue: first), Array(input.dropFirst()))
        switch self {
        case .stateFrame: try fuzzStateFrame(bytes, choice)
        case .twoSlotFile: try fuzzTwoSlotFile(bytes, choice)
        case .lockRecord: try fuzzLockRecord(bytes, choice)
        case .pidFile: try fuzzPIDFile(bytes, choice)
        case .arenaHeader: try fuzzArenaHeader(bytes, choice)
        }
    }
}

/// What an input asks for beside its bytes.
struct FuzzChoice: OptionSet {
    let rawValue: UInt8

    /// Right checksums, which no mutation would find: so what is behind them is reached.
    static let sealed = FuzzChoice(rawValue: 1)
    /// Not only looked at, but also changed.
    static let changing = FuzzChoice(rawValue: 2)
    /// The first form of the target that its file tells of.
    static let variantA = FuzzChoice(rawValue: 4)
    /// The second one.
    static let variantB = FuzzChoice(rawValue: 8)
}

/// The name of a file that this program makes.
func fileName(_ text: String) -> FileName {
    guard let name = FileName(text) else { fatalError("'\(text)' is no name") }
    return name
}

/// Ends the process with a message if something does not hold; `precondition` in a release build says nothing.
func check(
    _ condition: Bool,
    _ message: @autoclosure () -> String = "",
    file: StaticString = #fileID,
    line: UInt = #line
) {
    if !condition { fatalError(message(), file: file, line: line) }
}

/// What libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let input = unsafe Array(UnsafeBufferPointer(start: bytes, count: count))
    do {
        try FuzzTarget.chosen.run(input)
    } catch {
        fatalError("\(error)")
    }
    return 0
}
