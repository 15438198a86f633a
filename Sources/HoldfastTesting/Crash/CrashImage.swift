// SPDX-License-Identifier: Apache-2.0
//
// The files that a crash leaves: the base and the changes that reached the device, as whoever mounts it sees them.

internal import Holdfast

/// What became of one change.
enum Outcome: UInt8, Sendable {
    case lost, kept
    /// A sector that was being written reads as zeros.
    case zeros
    /// A sector that was being written reads as anything, or as what another file once held there.
    case garbage
}

extension CrashGraph {
    /// The files with these outcomes of the first nodes.
    func image(_ outcomes: [Outcome], seed: UInt64) -> Volume {
        var volume = start
        var sizes: [UInt64: Int] = [:]
        for (index, outcome) in outcomes.enumerated() where outcome != .lost {
            switch nodes[index].change {
            case .birth: break
            case .sector(let inode, let sector, let bytes):
                if sizes[inode] == nil { sizes[inode] = volume[inode].bytes.count }
                switch outcome {
                case .kept: volume.place(bytes, in: inode, sector * log.sectorSize)
                case .zeros:
                    volume.place(Array(repeating: 0, count: bytes.count), in: inode, sector * log.sectorSize)
                default: volume.place(garbage(inode, sector, bytes.count, seed), in: inode, sector * log.sectorSize)
                }
            case .word(let inode, let store, _):
                if sizes[inode] == nil { sizes[inode] = volume[inode].bytes.count }
                volume.place(store.bytes, in: inode, store.offset)
            case .size(let inode, let old, let new):
                let excess = volume[inode].bytes.count - new
                // What a file loses does not come back when it grows again.
                if new < old, excess > 0 { volume[inode].bytes.removeLast(excess) }
                sizes[inode] = new
            case .owner(let inode, let permissions, let owner, let group):
                volume[inode].permissions = permissions
                volume[inode].owner = owner
                volume[inode].group = group
            case .attribute(let inode, let name, let value): volume[inode].attributes[name] = value
            case .entries(let directory, let entries, _, _):
                for (name, inode) in entries { volume[directory].entries[name] = inode }
            }
        }
        for (inode, size) in sizes { volume.fit(inode, to: size) }
        volume.dropUnreachable()
        return volume
    }

    /// Bytes that are the same for the same sector and seed.
    private func garbage(_ inode: UInt64, _ sector: Int, _ count: Int, _ seed: UInt64) -> [UInt8] {
        var random = SplitMix(seed: seed ^ inode << 32 ^ UInt64(sector))
        let offset = sector * log.sectorSize
        let others = log.base.inodes.filter { $0.key != inode && $0.value.bytes.count >= offset + count }
        if !others.isEmpty, random.next() % 2 == 0 {
            let other = others.keys.sorted()[Int(random.next() % UInt64(others.count))]
            return Array(log.base[other].bytes[offset..<offset + count])
        }
        let words = (0..<(count + 7) / 8).map { _ in random.next() }
        return unsafe words.withUnsafeBytes { unsafe [UInt8]($0.prefix(count)) }
    }
}

extension Volume {
    /// Puts bytes on the device, be they within the file's size or behind it.
    fileprivate mutating func place(_ bytes: [UInt8], in number: UInt64, _ offset: Int) {
        self[number].bytes.grow(to: offset + bytes.count)
        self[number].bytes.overwrite(bytes[...], at: offset)
    }

    /// Shows as much of a file as its size says; what was never written reads as zeros.
    fileprivate mutating func fit(_ number: UInt64, to size: Int) {
        let excess = self[number].bytes.count - size
        if excess > 0 {
            self[number].bytes.removeLast(excess)
        } else {
            self[number].bytes.grow(to: size)
        }
    }

    /// Forgets what no name leads to, and counts the names of the rest again, as a check of the file system does.
    fileprivate mutating func dropUnreachable() {
        var links: [UInt64: UInt64] = [Self.root: 2]
        var pending = [Self.root]
        while let directory = pending.popLast() {
            for number in self[directory].entries.values {
                if self[number].kind == .directory {
                    links[directory, default: 0] += 1
                    // A directory has one name; should a crash have left two, the second leads to the same.
                    if links[number] == nil { pending.append(number) }
                    links[number] = 2
                } else {
                    links[number, default: 0] += 1
                }
            }
        }
        keep(Set(links.keys))
        for (number, count) in links { self[number].links = count }
    }

    /// Whether two images are the same to whoever can only look at names and what they lead to.
    func hash(into hasher: inout Hasher) {
        hasher.combine(boot)
        var numbers: [UInt64: Int] = [Self.root: 0]
        var pending = [Self.root]
        while let directory = pending.popLast() {
            for (name, number) in self[directory].entries.sorted(by: { $0.key < $1.key }) {
                hasher.combine(name)
                if let known = numbers[number] {
                    hasher.combine(known)
                    continue
                }
                numbers[number] = numbers.count
                self[number].hash(into: &hasher)
                if self[number].kind == .directory { pending.append(number) }
            }
            hasher.combine(0)
        }
    }
}

extension Inode {
    /// All that a crash may change of it, but its entries.
    fileprivate func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        hasher.combine(permissions)
        hasher.combine(owner)
        hasher.combine(group)
        hasher.combine(attributes)
        hasher.combine(all: bytes)
    }
}
