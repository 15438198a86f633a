// SPDX-License-Identifier: Apache-2.0
//
// A state file of format 1. Sealed: with the length and checksum of its payload. Variant A: there is a previous copy.

internal import Holdfast
internal import HoldfastTesting

func fuzzStateFrame(_ input: [UInt8], _ choice: FuzzChoice) throws {
    var bytes = input
    if choice.contains(.sealed), bytes.count >= 128 {
        bytes.replaceSubrange(81..<101, with: column(UInt64(bytes.count - 128), 20))
        bytes.sealFrame(to: bytes.count)
    }
    let fileSystem = SimulatedFileSystem()
    try fileSystem.write("/state", bytes)
    if choice.contains(.variantA) { try fileSystem.write("/.state.previous", bytes) }
    let options = StateOptions(maximumLength: 1 << 16, keepsPrevious: choice.contains(.variantA))
    let state = try StateFile<[UInt8]>(fileName("state"), in: fileSystem.directory(), options: options)
    do throws(StateError) {
        let (payload, report) = try state.loadWithReport()
        check(bytes.elementsEqual(encoded(payload, report)), "a state has one encoding")
        if choice.contains(.changing) { saveNext(report, state) }
    } catch {
        let codes: [StateError.Code] = [.corrupt, .newerFormat, .newerSchema, .missingMigration, .tooLarge]
        check(codes.contains(error.code), "\(error)")
        check(fileSystem.contents(of: "/state") == bytes, "what cannot be read is not touched: \(error)")
        if choice.contains(.changing) {
            _ = try? state.save([1, 2, 3])
            let mayBeReplaced = error.code == .missingMigration
            check(mayBeReplaced || fileSystem.contents(of: "/state") == bytes, "nor replaced by a save: \(error)")
        }
        if choice.contains(.variantA) { _ = try? state.load(orPrevious: true) }
    }
}

/// The file that holds this, by docs/file-format.md.
private func encoded(_ payload: [UInt8], _ report: LoadReport) -> [UInt8] {
    let store = "\(report.store) ".utf8
    var header = Array("holdfast/1 ".utf8) + store + column(report.generation.value, 20) + [0x20]
    header += column(UInt64(report.schema), 10) + [0x20] + column(report.token?.value ?? 0, 20) + [0x20]
    header += column(UInt64(payload.count), 20) + [0x20] + column(0, 16) + Array("         \n".utf8)
    var bytes = header + payload
    bytes.sealFrame(to: bytes.count)
    return bytes
}

/// The next save works, unless there is a token or no next generation.
func saveNext(_ report: LoadReport, _ state: StateFile<[UInt8]>) {
    do throws(StateError) {
        let commit = try state.save([1, 2, 3])
        check(commit.generation > report.generation, "generations grow")
        let loaded = try state.load()
        check(loaded == [1, 2, 3], "a save is loaded")
    } catch {
        let isFenced = error.code == .fenced && report.token != nil
        let isLast = error.code == .refused && report.generation.value > 1 << 47
        check(isFenced || isLast, "\(error)")
    }
}
