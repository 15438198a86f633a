// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a state that is written in place, format 2: a page that never changes after the file was made, and two
// slots, each a frame of format 1 and room for it to grow. docs/file-format.md is the same in prose. Invariants:
// - generation n is only ever written to slot n mod 2, so a save never writes to the slot of the state before it;
// - the slot's own checksum is what commits it: nothing else has to be on the device in any order;
// - both slots were written with zeros before the file got its name, so a save changes no metadata of the file.

/// The columns of a two-slot file's first page.
enum SlotFile {
    /// The format that is written here.
    static let formatVersion: UInt64 = 2
    /// What slots are aligned to, and the length of the first page.
    static let page = 4096
    /// More room than this is damage: it keeps every sum of lengths far from overflow.
    static let largestCapacity: UInt64 = 1 << 40

    typealias Page = InlineArray<4096, UInt8>

    static let capacityColumn = 28..<48
    static let firstColumn = 49..<69
    /// The spaces between the columns, and those that a later format 2 cannot mean something by.
    static let spaces = [10..<11, 27..<28, 48..<49, 69..<102, 118..<127] as InlineArray<5, Range<Int>>
    /// What stands in the place of a header when the flush of its slot failed: no reader may act on the bytes behind it.
    static let unflushedMark: StaticString = "holdfast-unflushed "
    /// The generation that was not flushed.
    static let markedColumn = 19..<39
}

/// What the first page of a two-slot file says.
struct SlotFileHeader: Hashable, Sendable {
    var store: StoreID
    /// The bytes of the largest payload that fits a slot.
    var capacity: UInt64
    /// The generation that the file was made with: until another one was saved, the other slot is empty.
    var first: Generation

    /// The header of a file with room for payloads of at least this length, rounded up to fill pages.
    init(store: StoreID, room: Int, first: Generation) {
        let slot = (Frame.headerLength + room + SlotFile.page - 1) / SlotFile.page * SlotFile.page
        self.init(store: store, capacity: UInt64(slot - Frame.headerLength), first: first)
    }

    init(store: StoreID, capacity: UInt64, first: Generation) {
        self.store = store
        self.capacity = capacity
        self.first = first
    }

    private var slotLength: Int64 {
        let page = Int64(SlotFile.page)
        return (Int64(Frame.headerLength) + Int64(capacity) + page - 1) / page * page
    }

    /// The length of the file.
    var fileLength: Int64 { Int64(SlotFile.page) + 2 * slotLength }

    /// Where a slot begins.
    func offset(of slot: Int) -> Int64 { Int64(SlotFile.page) + Int64(slot) * slotLength }
}

extension Generation {
    /// The slot that this generation is written to.
    var slot: Int { Int(value & 1) }
}

extension SlotFileHeader {
    /// The first page.
    func encoded() -> SlotFile.Page {
        var line = Frame.Header(repeating: asciiSpace)
        for index in Frame.magic.indices { line[index] = Frame.magic[index] }
        line.writeDecimal(SlotFile.formatVersion, Frame.formatColumn)
        line.writeHexadecimal(store.value, Frame.storeColumn)
        line.writeDecimal(capacity, SlotFile.capacityColumn)
        line.writeDecimal(first.value, SlotFile.firstColumn)
        line[Frame.newlineColumn] = asciiNewline
        var page = SlotFile.Page(repeating: 0)
        line.writeHexadecimal(Self.checksum(line, page), Frame.checksumColumn)
        for index in line.indices { page[index] = line[index] }
        return page
    }

    /// As a frame's: everything but the checksum's own digits.
    private static func checksum(_ line: Frame.Header, _ page: borrowing SlotFile.Page) -> UInt64 {
        unsafe page.span.withUnsafeBytes { page in
            let rest = unsafe UnsafeRawBufferPointer(rebasing: page[Frame.headerLength...])
            return unsafe Frame.checksum(of: line, rest)
        }
    }

    /// Reads the first page of a file of this length, strictly.
    init(parsing page: borrowing SlotFile.Page, fileLength: Int64) throws(StateFailure) {
        var line = Frame.Header(repeating: 0)
        for index in line.indices { line[index] = page[index] }
        let version = try line.formatNumber()
        if version != SlotFile.formatVersion {
            throw version == Frame.formatVersion ? .corrupt(.magic) : .newerFormat(version)
        }
        for index in SlotFile.spaces.indices {
            for column in SlotFile.spaces[index] where line[column] != asciiSpace {
                throw .corrupt(.column("reserved", at: SlotFile.spaces[index]))
            }
        }
        if line[Frame.newlineColumn] != asciiNewline {
            throw .corrupt(.column("newline", at: Frame.newlineColumn..<Frame.newlineColumn + 1))
        }
        self.init(
            store: StoreID(value: try line.hexadecimal("store", Frame.storeColumn)),
            capacity: try line.decimal("capacity", SlotFile.capacityColumn),
            first: Generation(try line.decimal("first generation", SlotFile.firstColumn))
        )
        let stored = try line.hexadecimal("checksum", Frame.checksumColumn)
        let computed = Self.checksum(line, page)
        if stored != computed { throw .corrupt(.checksum(header: stored, computed: computed)) }
        if capacity > SlotFile.largestCapacity { throw .corrupt(.column("capacity", at: SlotFile.capacityColumn)) }
        if first == .absent { throw .corrupt(.column("first generation", at: SlotFile.firstColumn)) }
        if self.fileLength != fileLength {
            throw .corrupt(.slotFileLength(expected: UInt64(self.fileLength), found: UInt64(fileLength)))
        }
    }
}
