// SPDX-License-Identifier: Apache-2.0
//
// Reading and verifying the first page and single slots. A slot counts only if its checksum is right and it is where a save
// of this file would have put it.

internal import _HoldfastCShims

/// What stands in a slot.
enum SlotContent: Sendable {
    case state(StoredState)
    /// Nothing was ever written to it.
    case empty
    /// A save whose flush failed, with its generation.
    case unflushed(Generation)
    /// What may be a state, with its generation, and a payload beyond the limit.
    case tooLarge(Generation, StateFailure)
    /// Something else that is no state: half of a save, or damage.
    case damaged(StateFailure)

    var state: StoredState? {
        if case .state(let state) = self { state } else { nil }
    }
}

extension TwoSlotFile {
    /// What the first page says; nil if it is not a two-slot file's.
    func header(
        of opened: borrowing OpenedState,

    ) throws(StateFailure) -> SlotFileHeader? {
        var page = SlotFile.Page(repeating: 0)
        let count: Int
        do throws(SystemError) {
            var bytes = page.mutableSpan
            count = try opened.file.readAll(into: &bytes)
        } catch {
            throw .system(error)
        }
        var line = Frame.Header(repeating: 0)
        for index in line.indices { line[index] = page[index] }
        guard let version = try? line.formatNumber(), version == SlotFile.formatVersion else { return nil }
        let size = opened.status.size
        if count < SlotFile.page { throw .corrupt(.tooShort(UInt64(size), header: SlotFile.page)) }
        let header = try SlotFileHeader(parsing: page, fileLength: size)
        if let expected = options.expectedStore, expected != header.store {
            throw .wrongStore(header.store, expected: expected)
        }
        return header
    }
}

extension TwoSlotFile {
    /// Reads and verifies one slot.
    ///
    /// A device that cannot read it is damage of that slot alone; any other failure is thrown.
    func read(
        _ slot: Int,
        of file: OpenSlots,

    ) throws(StateFailure) -> SlotContent {
        do throws(StateFailure) {
            return try content(of: slot, file)
        } catch {
            switch error {
            case .corrupt(let corruption, _): return .damaged(.corrupt(corruption.inSlot(slot)))
            case .system(let cause) where cause.code == EIO: return .damaged(error)
            // Of a later format there can be no slot in a file of this one.
            case .newerFormat: return .damaged(.corrupt(StateCorruption.magic.inSlot(slot)))
            default: throw error
            }
        }
    }

    private func content(of slot: Int, _ file: OpenSlots) throws(StateFailure) -> SlotContent {
        let header: Frame.Header?
        do throws(SystemError) {
            header = try file.file.frameHeader(at: file.header.offset(of: slot))
        } catch {
            throw .system(error)
        }
        guard let bytes = header else { throw .corrupt(.slot("the file ends")) }
        if bytes.isEmptySlot { return .empty }
        if let generation = bytes.markedGeneration { return .unflushed(generation) }
        let frame = try SealedHeader(parsing: bytes)
        let length = frame.header.length
        if length > file.header.capacity {
            let what = "a header says \(length) bytes of payload, and there is room for \(file.header.capacity)"
            throw .corrupt(.slot(what, expected: file.header.capacity, found: length))
        }
        if length > UInt64(options.maximumLength) {
            return .tooLarge(frame.header.generation, .tooLarge(length, limit: options.maximumLength))
        }
        let payload = try payload(of: Int(length), slot, file)
        try frame.verify(bytes, payload)
        try checkPlace(frame.header, slot, file.header)
        return .state(StoredState(frame: frame, payload: payload))
    }

    /// A sound frame may have been copied here.
    private func checkPlace(
        _ header: FrameHeader,
        _ slot: Int,
        _ file: SlotFileHeader
    ) throws(StateFailure) {
        if header.store != file.store {
            let what = "there is a state of store \(header.store), and the file is that of \(file.store)"
            throw .corrupt(.slot(what, expected: file.store.value, found: header.store.value))
        }
        if header.generation.slot != slot || header.generation < file.first {
            let what = "there is generation \(header.generation), which no save of this file puts there"
            throw .corrupt(.slot(what, found: header.generation.value))
        }
    }

    private func payload(of length: Int, _ slot: Int, _ file: OpenSlots) throws(StateFailure) -> [UInt8] {
        let start = file.header.offset(of: slot) + Int64(Frame.headerLength)
        var failure: SystemError?
        let payload = unsafe [UInt8](unsafeUninitializedCapacity: length) { buffer, initialized in
            do throws(SystemError) {
                initialized = try unsafe file.file.readAll(into: UnsafeMutableRawBufferPointer(buffer), at: start)
            } catch {
                failure = error
            }
        }
        if let failure { throw .system(failure) }
        return payload
    }
}

extension Frame.Header {
    fileprivate var isEmptySlot: Bool { indices.allSatisfy { self[$0] == 0 } }

    /// The generation of the save whose failed flush this marks; nil if it is no such mark.
    fileprivate var markedGeneration: Generation? {
        let isMarked = SlotFile.unflushedMark.withUTF8Buffer { mark in
            for index in mark.indices where unsafe mark[index] != self[index] { return false }
            return true
        }
        if !isMarked { return nil }
        return Generation((try? decimal("generation", SlotFile.markedColumn)) ?? 0)
    }
}

/// Both slots of a file, read one after the other.
struct SlotSurvey: Sendable {
    let file: SlotFileHeader
    let contents: [SlotContent]

    /// The newest sound state.
    var newest: StoredState? {
        contents.compactMap(\.state).max { $0.header.generation < $1.header.generation }
    }

    /// The other sound state.
    var older: StoredState? {
        let states = contents.compactMap(\.state)
        return states.count == 2 ? states.min { $0.header.generation < $1.header.generation } : nil
    }

    /// Why a slot that must hold a state does not.
    var problem: StateFailure? {
        for content in contents {
            if case .damaged(let error) = content { return error }
        }
        // The other slot is empty until the second save.
        guard let newest, case .empty = contents[1 - newest.header.generation.slot],
            newest.header.generation != file.first
        else { return nil }
        let what =
            "slot \(1 - newest.header.generation.slot) is empty, and generation \(newest.header.generation) is not the first"
        return .corrupt(.slot(what))
    }

    /// The state beyond the limit that is newer than any sound one.
    var tooLarge: StateFailure? {
        for case .tooLarge(let generation, let error) in contents
        where newest.map({ $0.header.generation < generation }) ?? true { return error }
        return nil
    }

    /// How many failed saves after the newest sound state may have reported their generation.
    var failures: UInt64 {
        contents.reduce(0) { count, content in
            switch content {
            case .unflushed(let marked): max(count, 1, failures(upTo: marked))
            case .damaged: max(count, 1)
            case .state, .empty, .tooLarge: count
            }
        }
    }

    /// How many of them are marked as failed.
    var markedFailures: UInt64 {
        contents.reduce(0) { count, content in
            if case .unflushed(let marked) = content { max(count, failures(upTo: marked)) } else { count }
        }
    }

    private func failures(upTo marked: Generation) -> UInt64 {
        guard let newest = newest?.header.generation, marked > newest else { return 0 }
        return (marked.value - newest.value - 1) / 2 + 1
    }

    /// Whether two looks saw the same.
    func isLike(_ other: SlotSurvey) -> Bool {
        zip(contents, other.contents).allSatisfy { first, second in
            switch (first, second) {
            case (.state(let first), .state(let second)): first.frame == second.frame
            case (.empty, .empty), (.unflushed, .unflushed), (.tooLarge, .tooLarge): true
            case (.damaged(let first), .damaged(let second)): first.corruption == second.corruption
            default: false
            }
        }
    }
}

extension TwoSlotFile {
    /// Looks at both slots.
    func survey(_ file: OpenSlots) throws(StateFailure) -> SlotSurvey {
        let contents = [try read(0, of: file), try read(1, of: file)]
        let survey = SlotSurvey(file: file.header, contents: contents)
        if let error = survey.tooLarge { throw error }
        return survey
    }

    /// The error of a file without any sound state.
    ///
    /// Both slots were looked at: it is never absent.
    func nothingSound(_ survey: SlotSurvey) -> StateFailure {
        survey.problem ?? .corrupt(.slot("neither slot holds a state"))
    }
}
