// SPDX-License-Identifier: Apache-2.0
//
// Which changes of a log depend on which, under a profile, and from when on each is durable. A crash state is then a set
// of changes that contains with each change those that it requires, and all that are durable.

internal import Holdfast

/// The changes of one log with their dependencies.
struct CrashGraph: Sendable {
    struct Node: Sendable {
        let change: Change
        /// Where in the log it stands.
        let position: Int
        let call: Int?
        /// Earlier nodes without which it is not on the device.
        var requires: [Int] = []
        /// The position of the flush after which it is durable.
        var durableAfter = Int.max
        /// A flush of its file failed: no later one makes it durable.
        var isLost = false
        /// What else than old or new may become of it.
        var mayTear = false
        /// Whether what it overwrites reads as other than zeros.
        var hidesBytes = false
    }

    let log: ChangeLog
    let profile: CrashProfile
    private(set) var nodes: [Node] = []
    /// The base with every file that was ever made, those of the log without names.
    private(set) var start: Volume

    /// The node that last changed something, for each thing that can be changed.
    private var sectors: [UInt64: [Int: Int]] = [:]
    /// The words that were stored in a sector since it was last written.
    private var words: [UInt64: [Int: [Int: Int]]] = [:]
    private var sizes: [UInt64: [Int]] = [:]
    private var owners: [UInt64: Int] = [:]
    private var attributes: [UInt64: [String: Int]] = [:]
    private var names: [UInt64: [EntryName: Int]] = [:]
    /// The nodes that name a file.
    private var namings: [UInt64: [Int]] = [:]
    private var lastMetadata: Int?

    init(_ log: ChangeLog, _ profile: CrashProfile) {
        self.log = log
        self.profile = profile
        start = log.base
        for (position, event) in log.events.enumerated() {
            switch event {
            case .change(.birth(let number, let inode), _): start.put(inode, at: number)
            case .change(let change, let call): add(Node(change: change, position: position, call: call))
            case .flush(let inode, let onlyData, _): flush(inode, onlyData, at: position)
            case .failedFlush(let inode, _):
                for index in nodes.indices where nodes[index].change.inode == inode && !isDurable(index) {
                    nodes[index].isLost = true
                }
            case .note: break
            }
        }
    }

    private func isDurable(_ index: Int) -> Bool { nodes[index].durableAfter != .max }

    /// How many nodes stand before a position.
    func count(before position: Int) -> Int {
        var (low, high) = (0, nodes.count)
        while low < high {
            let middle = (low + high) / 2
            if nodes[middle].position < position { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private mutating func add(_ added: Node) {
        var node = added
        let index = nodes.count
        var isMetadata = false
        switch node.change {
        case .birth: return
        case .sector(let inode, let sector, _):
            node.requires += sectors[inode]?[sector].map { [$0] } ?? []
            // The write is of the page that they were stored in.
            node.requires += words[inode]?[sector]?.values ?? [:].values
            words[inode]?[sector] = nil
            node.mayTear = profile.tearsSectors
            node.hidesBytes = node.requires.isEmpty ? baseHasBytes(inode, sector) : true
            sectors[inode, default: [:]][sector] = index
            // Writing again makes the size be written again, too.
            for size in sizes[inode] ?? [] { nodes[size].isLost = false }
        case .word(let inode, let store, _):
            // So it is the word of the last flush, or any later one.
            let sector = store.offset / log.sectorSize
            let before = words[inode]?[sector]?[store.offset] ?? sectors[inode]?[sector]
            node.requires += before.map { [$0] } ?? []
            words[inode, default: [:]][sector, default: [:]][store.offset] = index
        case .size(let inode, let old, let new):
            node.requires += sizes[inode]?.last.map { [$0] } ?? []
            if new > old, profile.writesDataBeforeSize {
                // The write that makes the file grow noted its sectors just before.
                node.requires += nodes.indices.suffix(Volume.pageSize).filter { earlier in
                    guard nodes[earlier].call == node.call, nodes[earlier].change.inode == inode else { return false }
                    return nodes[earlier].change.isSector
                }
            }
            isMetadata = new < old
            sizes[inode, default: []].append(index)
        case .owner(let inode, _, _, _):
            node.requires += owners[inode].map { [$0] } ?? []
            owners[inode] = index
            isMetadata = true
        case .attribute(let inode, let name, _):
            node.requires += attributes[inode]?[name].map { [$0] } ?? []
            attributes[inode, default: [:]][name] = index
            isMetadata = true
        case .entries(let directory, let entries, let renamed, let replaced):
            for name in entries.keys {
                // What a new name is taken for requires nothing. To have lost a name without having had it is as not to
                // have had it, so nothing is lost by requiring that.
                if entries[name] == .some(nil), let last = names[directory]?[name], isSingle(last) {
                    node.requires.append(last)
                }
                names[directory, default: [:]][name] = index
            }
            if replaced, let renamed, profile.writesDataBeforeReplacing {
                node.requires += nodes.indices.filter {
                    // What a flush failed to write counts as written.
                    nodes[$0].change.inode == renamed && nodes[$0].change.isData && !nodes[$0].isLost
                }
            }
            for case .some(let inode) in entries.values { namings[inode, default: []].append(index) }
            isMetadata = true
        }
        if isMetadata, profile.ordersMetadata {
            node.requires += lastMetadata.map { [$0] } ?? []
            lastMetadata = index
        }
        node.requires = Array(Set(node.requires)).sorted()
        nodes.append(node)
    }

    private func isSingle(_ index: Int) -> Bool {
        if case .entries(_, let entries, _, _) = nodes[index].change { entries.count == 1 } else { false }
    }

    private func baseHasBytes(_ inode: UInt64, _ sector: Int) -> Bool {
        guard let bytes = log.base.inodes[inode]?.bytes, !bytes.isEmpty else { return false }
        return sector * log.sectorSize < bytes.count
    }

    private mutating func flush(_ inode: UInt64, _ onlyData: Bool, at position: Int) {
        var durable = nodes.indices.filter { index in
            let node = nodes[index]
            return node.change.inode == inode && !node.isLost && (!onlyData || node.change.isData)
        }
        // The journal up to the last change of the file itself goes with it, and its names are such changes.
        if profile.ordersMetadata, !onlyData { durable += namings[inode] ?? [] }
        while let index = durable.popLast() {
            if isDurable(index) { continue }
            nodes[index].durableAfter = position
            durable += nodes[index].requires
        }
    }
}
