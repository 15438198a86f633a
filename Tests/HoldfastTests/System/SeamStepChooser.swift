// SPDX-License-Identifier: Apache-2.0
//
// Which call the differential test makes next. Few names and few slots, so that calls meet one another.

import Holdfast
import HoldfastTesting

struct SeamStepChooser {
    /// The letter é stands twice: two names equal as strings, and two files.
    ///
    /// "gone" is a symbolic link that leads nowhere.
    static let names = ["a", "b", "c", "d", "sub", "\u{E9}", "e\u{301}", "link", "gone", "fifo"]
    /// Those that may go; the others could not be made again.
    static let passing = Array(names.dropLast(3))
    /// They overlap, so that one lock cuts another.
    static let ranges = [wholeFile, 0..<10, 5..<20, 1 << 62..<(1 << 62) + 1]
    static let attributes = ["user.one", "user.two", "user", "nonsense.name"]

    var random: SplitMix
    /// Owners other than one's own need a privilege.
    let isPrivileged: Bool
    let hasAttributes: Bool

    mutating func step(on machine: SeamMachine) -> SeamStep {
        let open = machine.descriptors.indices.filter { machine.descriptors[$0] != nil }
        let file = pick(open)
        // Mostly a directory, and now and then whatever is open, for ENOTDIR.
        let directory = Int.random(in: 0..<4, using: &random) == 0 ? file : 0
        let slot = Int.random(in: 1..<SeamMachine.slotCount, using: &random)
        let name = pick(Self.names)
        let other = pick(Self.names)
        let victim = pick(Self.passing)
        let flip = Bool.random(using: &random)
        let offset = Int64.random(in: 0..<6000, using: &random)
        switch Int.random(in: 0..<112, using: &random) {
        case 0..<5: return .openDirectory(pick(Self.names + ["."]), in: directory, following: flip, to: slot)
        case 5..<23: return .open(name, in: directory, mode(), to: slot)
        // In a directory that was removed, ext4 says EPERM and tmpfs allows it.
        case 23..<26: return .openUnnamed(in: 0, pick([0o600, 0o644]), to: slot)
        case 26..<30: return .close(slot)
        case 30..<38: return .status(file)
        case 38..<41: return .statusOf(name, in: directory)
        case 41..<44: return .identityOf(name, in: directory)
        case 44..<51: return .read(file, size() + 1, size(), at: offset)
        // EBADF is a defect of the caller, which both file systems trap.
        case 51..<59 where machine.isWritable[file]: return .write(file, bytes(), bytes(), at: offset)
        case 59..<62: return .truncate(file, to: Int64.random(in: -1..<9000, using: &random))
        case 62: return .sync(file, pick([.full, .data, .barrier]))
        case 63..<69:
            let newName = flip ? pick(Self.passing) : other
            return .rename(victim, to: newName, in: directory, replacing: flip)
        case 69..<73: return .link(name, to: other, in: directory)
        case 73..<76: return .linkUnnamed(file, to: name, in: directory)
        case 76..<80: return .unlink(victim, in: directory)
        case 80..<82: return .makeDirectory(name, in: directory)
        case 82..<84: return .names(in: directory)
        case 84 where isPrivileged: return .setOwner(file, pick([0, 7]), pick([0, 8]))
        case 85: return .setPermissions(file, pick([0o600, 0o644, 0o755] + (isPrivileged ? [0o6755, 0o6644] : [])))
        case 86 where hasAttributes: return .attributeNames(file)
        case 87 where hasAttributes: return .attribute(pick(Self.attributes), of: file)
        case 88 where hasAttributes: return .setAttribute(pick(Self.attributes), of: file, to: bytes(atMost: 50))
        case 89..<94: return .tryLock(file, .flock, exclusive: flip)
        case 94..<96:
            return .tryLock(file, .openFileDescription, exclusive: flip && machine.isWritable[file])
        case 96..<98:
            return .lockRange(file, pick(Self.ranges), exclusive: flip && machine.isWritable[file])
        case 98:
            return Bool.random(using: &random)
                ? .unlock(file, flip ? .flock : .openFileDescription) : .unlockRange(file, pick(Self.ranges))
        case 99: return .isLocked(file, pick(Self.ranges))
        case 100 where machine.isWritable[file]: return .allocate(file)
        case 101..<104: return .map(file, length: pick([0, 100, 8192]), isWritable: flip)
        case 104: return .unmap(slot)
        case 105..<109: return .store(file, .random(in: .min ... .max, using: &random), at: Int(offset) / 8 * 8)
        case 109..<112: return .load(file, at: Int(offset) / 8 * 8)
        default: return .status(file)
        }
    }

    private mutating func mode() -> OpenMode {
        switch Int.random(in: 0..<5, using: &random) {
        case 0: .read
        case 1: .readWrite
        case 2, 3: .readWriteOrCreate(permissions: 0o600)
        default: .createNew(permissions: 0o600)
        }
    }

    private mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[Int.random(in: elements.indices, using: &random)]
    }

    private mutating func size() -> Int {
        Int.random(in: 0..<300, using: &random)
    }

    private mutating func bytes(atMost limit: Int = 300) -> [UInt8] {
        let count = Int.random(in: 0..<limit, using: &random)
        var bytes: [UInt8] = []
        for _ in 0..<count { bytes.append(UInt8.random(in: .min ... .max, using: &random)) }
        return bytes
    }
}
