// SPDX-License-Identifier: Apache-2.0
//
// A two-slot file, of three pieces of the input: 128 bytes for the first page, half of the rest for each slot, filled up
// with zeros. Sealed: all three have right checksums, the slots for the lengths that their headers say. Variant A: the
// file's length is that of its pieces instead of what the first page says. Variant B: the input is the file.

internal import Holdfast
internal import HoldfastTesting

private let page = 4096

func fuzzTwoSlotFile(_ input: [UInt8], _ choice: FuzzChoice) throws {
    let fileSystem = SimulatedFileSystem()
    let bytes = choice.contains(.variantB) ? input : assembled(input, choice)
    try fileSystem.write("/state", bytes)
    let state = try StateFile<[UInt8]>(
        fileName("state"),
        in: fileSystem.directory(),
        options: StateOptions(strategy: .twoSlot, maximumLength: 1 << 16)
    )
    do throws(StateError) {
        let (payload, report) = try state.loadWithReport()
        let places = [0, page, page + (bytes.count - page) / 2].map { $0 + 128 }
        check(places.contains { bytes.dropFirst($0).starts(with: payload) }, "what is loaded is there")
        let again = try state.load()
        check(again == payload, "a second load finds the same")
        if choice.contains(.changing) {
            // A save does not build upon the older state if the newer one was there.
            if report.rejected == nil || (try? state.restorePrevious()) != nil {
                saveNext(report, state)
            }
        }
    } catch {
        let codes: [StateError.Code] = [.corrupt, .newerFormat, .newerSchema, .missingMigration, .tooLarge]
        check(codes.contains(error.code), "\(error)")
        if choice.contains(.changing) {
            _ = try? state.save([1, 2, 3])
            _ = try? state.restorePrevious()
        }
    }
    fileSystem.forgetSharedMemory()
    let next = try StateFile<[UInt8]>(fileName("state"), in: fileSystem.directory())
    _ = try? next.load(durable: true)
}

private func assembled(_ input: [UInt8], _ choice: FuzzChoice) -> [UInt8] {
    let half = max(0, input.count - 128) / 2
    var pieces = [input.resized(to: 128), Array(input.dropFirst(128).prefix(half)), Array(input.dropFirst(128 + half))]
    // The room that the first page says, if that is little.
    let said = UInt64(String(decoding: pieces[0][28..<48], as: UTF8.self)).flatMap { $0 <= 1 << 14 ? Int($0) : nil }
    let slot = ((said ?? page - 128) + 128 + page - 1) / page * page
    pieces[0] = pieces[0].resized(to: page)
    if !choice.contains(.variantA) {
        for index in 1...2 { pieces[index] = pieces[index].resized(to: slot) }
    }
    if choice.contains(.sealed) {
        pieces[0].sealFrame(to: page)
        for index in 1...2 where pieces[index].count >= 128 {
            let length = Int(String(decoding: pieces[index][81..<101], as: UTF8.self)) ?? 0
            pieces[index].sealFrame(to: length > slot ? 0 : 128 + length)
        }
    }
    return pieces[0] + pieces[1] + pieces[2]
}
