// SPDX-License-Identifier: Apache-2.0
//
// The tree of a simulated file system: inodes by number, and a logical clock. It knows names and files, not who has them
// open. A plain value: a copy of it is an image of the whole volume.
//
// - Number 2 is the root. A freed number is given to the next new file, as on ext4, so that whoever compares inode numbers
//   without holding the file open is caught.
// - Every change takes a new time, so no two changes of a file leave the same `changed`, unless the clock is made to tick
//   more slowly.

internal import Holdfast
internal import _HoldfastCShims

/// An errno on its way to becoming a `SystemError`.
struct Failure: Error {
    let code: Int32

    init(_ code: Int32) {
        self.code = code
    }
}

struct Volume: Sendable {
    static let root: UInt64 = 2
    static let device: UInt64 = 0x4846
    /// The memory of the test process is the disk.
    static let largestFile: Int64 = 1 << 30

    private(set) var inodes: [UInt64: Inode] = [:]
    /// Files without a name, which last as long as somebody has them open.
    private(set) var orphans: Set<UInt64> = []
    private var freed: Set<UInt64> = []
    private var next = Self.root
    private var clock: Int64 = 0
    /// How often the machine has started.
    private(set) var boot = 1
    /// How many changes share one time: 1, or more for a clock that ticks more slowly than files change.
    var changesPerTick: Int64 = 1
    /// The changes that were made and not yet taken by the log; nil if there is none.
    ///
    /// While there is one no number is given twice, because changes name files by their numbers.
    private(set) var changes: [Change]?
    /// How many bytes reach the device together.
    private(set) var sectorSize = 512
    /// A long write makes the file grow page by page.
    static let pageSize = 4096

    init() {
        let root = add(.directory([:], parent: Self.root), permissions: 0o755, links: 2)
        assert(root == Self.root)
    }

    subscript(number: UInt64) -> Inode {
        get {
            guard let inode = inodes[number] else { preconditionFailure("no inode \(number)") }
            return inode
        }
        _modify {
            guard let index = inodes.index(forKey: number) else { preconditionFailure("no inode \(number)") }
            yield &inodes.values[index]
        }
    }

    mutating func now() -> FileStatus.Time {
        clock += 1
        let tick = clock - clock % changesPerTick
        return FileStatus.Time(seconds: 1_700_000_000 + tick / 1_000_000, nanoseconds: tick % 1_000_000 * 1000)
    }

    /// Makes a file that belongs to a directory, as BSD has it if that has the bit S_ISGID: in its group (inode(7)).
    mutating func add(
        _ content: Inode.Content,
        permissions: UInt32,
        links: UInt64,
        in directory: UInt64? = nil
    ) -> UInt64 {
        let number = changes == nil ? freed.min() ?? next : next
        if freed.remove(number) == nil { next += 1 }
        let time = now()
        inodes[number] = Inode(
            content: content,
            permissions: permissions & 0o7777,
            links: links,
            modified: time,
            changed: time
        )
        if let directory, self[directory].permissions & 0o2000 != 0 {
            self[number].group = self[directory].group
            if self[number].kind == .directory { self[number].permissions |= 0o2000 }
        }
        if links == 0 { orphans.insert(number) }
        let made = self[number]
        note(.birth(number, made))
        return number
    }

    /// Counts the names of a file again.
    mutating func setLinks(_ number: UInt64, to links: UInt64) {
        self[number].links = links
        if links == 0 { orphans.insert(number) } else { orphans.remove(number) }
    }

    /// Forgets the files without a name that nobody has open.
    mutating func freeOrphans(except isOpen: (UInt64) -> Bool) {
        for number in orphans where !isOpen(number) {
            orphans.remove(number)
            inodes[number] = nil
            freed.insert(number)
        }
    }

    /// The machine starts again.
    mutating func reboot() {
        boot += 1
        for number in inodes.keys { inodes[number]?.isMapped = false }
    }

    /// Notes that data (`modified`) or only metadata of a file changed.
    mutating func touch(_ number: UInt64, modified: Bool = false) {
        let time = now()
        self[number].changed = time
        if modified { self[number].modified = time }
    }

    /// Puts a file in the place of a number, as a copy of another volume has it there.
    mutating func put(_ inode: Inode, at number: UInt64) {
        inodes[number] = inode
        next = max(next, number + 1)
    }

    /// Forgets every file but these.
    mutating func keep(_ numbers: Set<UInt64>) {
        for number in inodes.keys where !numbers.contains(number) { inodes[number] = nil }
        orphans = []
    }

    /// Begins to note changes.
    mutating func recordChanges(sectorSize: Int) {
        changes = []
        self.sectorSize = sectorSize
    }

    /// The files as they are, of which nothing is recorded any more.
    var unrecorded: Volume {
        var volume = self
        volume.changes = nil
        return volume
    }

    mutating func note(_ change: Change) {
        changes?.append(change)
    }

    /// The changes since the last time that they were taken.
    mutating func takeChanges() -> [Change] {
        guard let taken = changes, !taken.isEmpty else { return [] }
        changes = []
        return taken
    }

    func status(_ number: UInt64) -> FileStatus {
        let inode = self[number]
        return FileStatus(
            identity: FileIdentity(device: Self.device, inode: number),
            kind: inode.kind,
            permissions: inode.permissions,
            owner: inode.owner,
            group: inode.group,
            size: inode.size,
            links: inode.links,
            modified: inode.modified,
            changed: inode.changed
        )
    }
}
