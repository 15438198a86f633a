// SPDX-License-Identifier: Apache-2.0
//
// One random call of the differential test, and a machine that makes it. Descriptors are numbers of slots here, which mean
// the same on two file systems; what a call gives is a text that can be compared.

import Foundation
import Holdfast
import HoldfastTesting

enum SeamStep: Sendable {
    case openDirectory(String, in: Int, following: Bool, to: Int)
    case open(String, in: Int, OpenMode, to: Int)
    case openUnnamed(in: Int, UInt32, to: Int)
    case close(Int)
    case status(Int)
    case statusOf(String, in: Int)
    case identityOf(String, in: Int)
    case read(Int, Int, Int, at: Int64)
    case write(Int, [UInt8], [UInt8], at: Int64)
    case truncate(Int, to: Int64)
    case sync(Int, SyncKind)
    case rename(String, to: String, in: Int, replacing: Bool)
    case link(String, to: String, in: Int)
    case linkUnnamed(Int, to: String, in: Int)
    case unlink(String, in: Int)
    case makeDirectory(String, in: Int)
    case names(in: Int)
    case setOwner(Int, UInt32, UInt32)
    case setPermissions(Int, UInt32)
    case attributeNames(Int)
    case attribute(String, of: Int)
    case setAttribute(String, of: Int, to: [UInt8])
    case tryLock(Int, LockFamily, exclusive: Bool)
    case unlock(Int, LockFamily)
    case lockRange(Int, Range<Int64>, exclusive: Bool)
    case unlockRange(Int, Range<Int64>)
    case isLocked(Int, Range<Int64>)
    case allocate(Int)
    case map(Int, length: Int, isWritable: Bool)
    case unmap(Int)
    case store(Int, UInt64, at: Int)
    case load(Int, at: Int)

    /// Whether a kernel may show another time of change at once, or with the next such step only.
    var changesTimesSometimes: Bool {
        switch self {
        case .allocate, .store: true
        default: false
        }
    }
}

/// A file system and six descriptors on it; slot 0 is the directory that everything happens in.
@safe
struct SeamMachine {
    static let slotCount = 6

    let fileSystem: any FileSystem
    private(set) var descriptors: [Int32?]
    private(set) var isWritable = [Bool](repeating: false, count: slotCount)
    private var mappings: [Int: (base: UnsafeMutableRawPointer, length: Int, isWritable: Bool)] = unsafe [:]

    init(_ directory: OpenDirectory) throws {
        fileSystem = directory.fileSystem
        descriptors = Array(repeating: nil, count: Self.slotCount)
        descriptors[0] = try fileSystem.openDirectory(".", in: directory.descriptor.rawValue, followingLink: false)
    }

    /// Closes everything, and the machine is of no more use.
    mutating func closeAll() throws {
        for slot in descriptors.indices { try close(slot) }
    }

    private mutating func close(_ slot: Int) throws(SystemError) {
        guard let descriptor = descriptors[slot] else { return }
        unmap(slot)
        descriptors[slot] = nil
        try fileSystem.close(descriptor)
    }

    func status(_ slot: Int) throws(SystemError) -> FileStatus {
        try fileSystem.status(descriptor(slot))
    }

    private func descriptor(_ slot: Int) -> Int32 {
        descriptors[slot] ?? -1
    }

    /// Makes the call and says what it gave.
    mutating func run(_ step: SeamStep) -> String {
        do throws(SystemError) {
            return try perform(step)
        } catch {
            return "\(error.call) \(error.code)"
        }
    }

    private mutating func put(_ opened: Int32, in slot: Int, isWritable: Bool) throws(SystemError) -> String {
        try close(slot)
        descriptors[slot] = opened
        self.isWritable[slot] = isWritable
        return "opened"
    }

    private mutating func perform(_ step: SeamStep) throws(SystemError) -> String {
        switch step {
        case .openDirectory(let name, let slot, let following, let target):
            let opened = try fileSystem.openDirectory(name, in: descriptor(slot), followingLink: following)
            return try put(opened, in: target, isWritable: false)
        case .open(let name, let slot, let mode, let target):
            let opened = try fileSystem.open(name, in: descriptor(slot), mode)
            let isWritable = if case .read = mode { false } else { true }
            return try put(opened, in: target, isWritable: isWritable)
        case .openUnnamed(let slot, let permissions, let target):
            return try put(
                try fileSystem.openUnnamed(in: descriptor(slot), permissions: permissions),
                in: target,
                isWritable: true
            )
        case .close(let slot): try close(slot)
        case .status(let slot): return try describe(try status(slot))
        case .statusOf(let name, let slot): return try describe(try fileSystem.status(of: name, in: descriptor(slot)))
        case .identityOf(let name, let slot):
            return "is \(try slots(of: try fileSystem.identity(of: name, in: descriptor(slot))))"
        case .read(let slot, let first, let second, let offset):
            return try read(slot, first, second, at: offset)
        case .write(let slot, let first, let second, let offset):
            return try write(slot, first, second, at: offset)
        case .truncate(let slot, let size): try fileSystem.truncate(descriptor(slot), to: size)
        case .sync(let slot, let kind): try fileSystem.sync(descriptor(slot), kind)
        case .rename(let name, let newName, let slot, let replacing):
            try fileSystem.rename(name, to: newName, in: descriptor(slot), replacing: replacing)
        case .link(let name, let newName, let slot):
            try fileSystem.link(name, to: newName, in: descriptor(slot))
        case .linkUnnamed(let file, let name, let slot):
            try fileSystem.link(unnamed: descriptor(file), to: name, in: descriptor(slot))
        case .unlink(let name, let slot): try fileSystem.unlink(name, in: descriptor(slot))
        case .makeDirectory(let name, let slot):
            try fileSystem.makeDirectory(name, in: descriptor(slot), permissions: 0o700)
        case .names(let slot):
            return try fileSystem.names(in: descriptor(slot)).map { Array($0.utf8).description }.sorted().description
        case .setOwner(let slot, let owner, let group):
            try fileSystem.setOwner(descriptor(slot), owner: owner, group: group)
        case .setPermissions(let slot, let permissions):
            try fileSystem.setPermissions(descriptor(slot), permissions)
        case .attributeNames(let slot):
            return try fileSystem.attributeNames(descriptor(slot)).filter { $0.hasPrefix("user.") }.sorted().description
        case .attribute(let name, let slot):
            return try fileSystem.attribute(name, of: descriptor(slot)).description
        case .setAttribute(let name, let slot, let value):
            try fileSystem.setAttribute(name, of: descriptor(slot), to: value)
        case .tryLock(let slot, let kind, let exclusive):
            return try fileSystem.tryLock(descriptor(slot), kind, exclusive: exclusive) ? "locked" : "busy"
        case .unlock(let slot, let kind): try fileSystem.unlock(descriptor(slot), kind)
        case .lockRange(let slot, let range, let exclusive):
            return try fileSystem.tryLock(descriptor(slot), range, exclusive: exclusive) ? "locked" : "busy"
        case .unlockRange(let slot, let range): try fileSystem.unlock(descriptor(slot), range)
        case .isLocked(let slot, let range):
            return try fileSystem.isLocked(descriptor(slot), range) ? "locked" : "free"
        case .allocate(let slot):
            let status = try status(slot)
            // Blocks behind its end are another matter.
            if status.kind != .regular || status.size == 0 { return "nothing there" }
            try fileSystem.allocate(descriptor(slot), length: status.size)
        case .map(let slot, let length, let isWritable):
            let base = try unsafe fileSystem.map(descriptor(slot), length: length, isWritable: isWritable)
            unmap(slot)
            unsafe mappings[slot] = (base, length, isWritable)
        case .unmap(let slot): unmap(slot)
        case .store(let slot, let value, let offset):
            guard let word = try unsafe word(slot, at: offset, storing: true) else { return "nothing there" }
            unsafe word.storeBytes(of: value, as: UInt64.self)
        case .load(let slot, let offset):
            guard let word = try unsafe word(slot, at: offset, storing: false) else { return "nothing there" }
            return unsafe "\(word.load(as: UInt64.self))"
        }
        return "done"
    }

    private mutating func unmap(_ slot: Int) {
        guard let mapping = unsafe mappings.removeValue(forKey: slot) else { return }
        unsafe fileSystem.unmap(mapping.base, length: mapping.length)
    }

    /// A word of a mapped file; nil beyond its end, where a mapping traps.
    private func word(_ slot: Int, at offset: Int, storing: Bool) throws(SystemError) -> UnsafeMutableRawPointer? {
        guard let mapping = unsafe mappings[slot], unsafe mapping.isWritable || !storing,
            unsafe offset + 8 <= mapping.length, Int64(offset) + 8 <= (try status(slot)).size
        else { return nil }
        return unsafe mapping.base + offset
    }

    /// What must be the same everywhere: not the numbers, but which open files they are equal to.
    private func describe(_ status: FileStatus) throws(SystemError) -> String {
        let sized = status.kind == .directory ? "" : " size \(status.size) links \(status.links)"
        let mode = String(status.permissions, radix: 8)
        let owner = "owner \(status.owner):\(status.group)"
        return "\(status.kind) \(mode)\(sized) \(owner) is \(try slots(of: status.identity))"
    }

    /// The slots in which this very file is open.
    private func slots(of identity: FileIdentity) throws(SystemError) -> [Int] {
        var slots: [Int] = []
        for (slot, descriptor) in descriptors.enumerated() {
            if let descriptor, try fileSystem.status(descriptor).identity == identity { slots.append(slot) }
        }
        return slots
    }

    private func read(_ slot: Int, _ first: Int, _ second: Int, at offset: Int64) throws(SystemError) -> String {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: first + second, alignment: 1)
        defer { unsafe buffer.deallocate() }
        let head = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<first])
        let tail = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[first...])
        let count = try unsafe fileSystem.read(descriptor(slot), into: head, tail, at: offset)
        return unsafe "\(Array(buffer.prefix(count)))"
    }

    private func write(
        _ slot: Int,
        _ first: [UInt8],
        _ second: [UInt8],
        at offset: Int64
    ) throws(SystemError) -> String {
        let bytes = first + second
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { unsafe buffer.deallocate() }
        unsafe buffer.copyBytes(from: bytes)
        let head = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<first.count])
        let tail = unsafe UnsafeRawBufferPointer(rebasing: buffer[first.count...])
        return "\(try unsafe fileSystem.write(descriptor(slot), head, tail, at: offset))"
    }
}
