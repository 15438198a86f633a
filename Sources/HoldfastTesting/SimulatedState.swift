// SPDX-License-Identifier: Apache-2.0
//
// Everything that the mutex of a simulated file system guards: the files, who has them open, and the record of calls.

internal import Holdfast
internal import _HoldfastCShims

struct SimulatedState: Sendable {
    /// A name in a directory.
    private struct Place: Hashable {
        let directory: UInt64
        let name: EntryName
    }

    /// Where a call stands in the record, as long as the record is not reset.
    struct Record: Sendable {
        let number: Int
        let epoch: Int
    }

    var volume = Volume()
    /// What the device holds, and what is on its way to it; nil if nobody wants to know.
    private(set) var log: ChangeLog?
    var open: [Int32: OpenFile] = [:]
    var nextDescriptor: Int32 = 1000
    /// The words in memory that somebody has asked for, by the numbers of their files.
    var words: [UInt64: [Int: SharedWord]] = [:]
    /// Grows with each reboot: what was asked for before is nobody's memory any more.
    private(set) var life = 0

    private(set) var calls: [Call] = []
    private var epoch = 0
    /// More calls than this are a loop that does not end.
    var callLimit = Int.max
    var faults = FaultPlan.none
    var hook: SimulatedFileSystem.Hook?

    var isShared = false
    /// Whether each name has a lock object of its own, as on a FUSE file system that knows files by their paths.
    var knowsFilesByPath = false
    /// The objects of the names that were opened since they came to be.
    private var objects: [Place: UInt64] = [:]
    var umask: UInt32 = 0o022
    /// How many bytes the write that is being made may transfer.
    private(set) var writeLimit = Int.max
}

extension SimulatedState {
    mutating func forgetCalls() {
        calls = []
        epoch += 1
    }

    /// Records a call that begins.
    mutating func begin(_ call: Call) -> (Call, Record, SimulatedFileSystem.Hook?) {
        var call = call
        if let file = call.descriptor.flatMap({ open[$0] }) {
            call.isOnDirectory = volume[file.inode].kind == .directory
            call.path = call.name.map { join(file.path, $0) } ?? file.path
        } else if call.descriptor == nil {
            call.path = call.name.map { join("/", $0) }
        }
        precondition(calls.count < callLimit, "more than \(callLimit) calls, the last one \(call)")
        calls.append(call)
        log?.begin(call)
        return (call, Record(number: calls.count, epoch: epoch), hook)
    }

    /// Performs a call as its fault allows, and completes its record.
    mutating func end<Result>(
        _ record: Record?,
        applying fault: Fault.Kind?,
        _ body: (inout Self) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let index = record.flatMap { $0.epoch == epoch ? $0.number - 1 : nil }
        if let index, fault != nil { calls[index].isFaulted = true }
        defer { freeOrphans() }
        do throws(Failure) {
            if case .shortWrite(let limit) = fault { writeLimit = limit }
            defer { writeLimit = .max }
            if case .failure(let code) = fault {
                // Linux frees the descriptor before anything in close(2) can fail.
                if let index, calls[index].function == "close" { _ = try body(&self) }
                if let index { loseWrites(calls[index], code) }
                throw Failure(code)
            }
            let result = try body(&self)
            if let index { calls[index].result = Self.returnValue(result) }
            endCall(index)
            return result
        } catch {
            if let index { calls[index].failure = error.code }
            endCall(index)
            throw error
        }
    }

    /// What a flush that failed leaves on Linux: the pages count as clean, so no later flush writes them.
    ///
    /// EINTR and the errnos of a flush that is not to be had here tell that it did not begin.
    private mutating func loseWrites(_ call: Call, _ code: Int32) {
        guard log != nil, call.function == "fsync" || call.function == "fdatasync", let descriptor = call.descriptor,
            [EIO, ENOSPC, EDQUOT].contains(code)
        else { return }
        takeChanges()
        let number = inode(descriptor)
        log?.failFlush(of: number)
    }

    /// A flush that went well.
    mutating func flushed(_ inode: UInt64, _ kind: SyncKind) {
        takeChanges()
        log?.flush(inode, onlyData: kind == .data)
    }

    private mutating func takeChanges() {
        if log == nil { return }
        let changes = volume.takeChanges()
        if !changes.isEmpty { log?.append(changes) }
    }

    /// Hands what the call changed to the log.
    ///
    /// A call without a record is somebody else's.
    private mutating func endCall(_ index: Int?) {
        takeChanges()
        let call = index.map { calls[$0] }
        log?.end(call)
    }

    /// What the C function returns for what the seam's method returns.
    private static func returnValue(_ result: Any) -> Int {
        switch result {
        case let descriptor as Int32: Int(descriptor)
        case let count as Int: count
        case let bytes as [UInt8]: bytes.count
        default: 0
        }
    }
}

extension SimulatedState {
    /// A machine that finds these files at its start.
    init(_ volume: Volume = Volume()) {
        self.volume = volume
    }

    /// Begins to tell what is on the device from what is on its way: all that is there now is on it.
    mutating func beginLog(sectorSize: Int) {
        resumeLog(ChangeLog(volume, sectorSize: sectorSize))
    }

    /// Goes on with a log whose changes have all been made in these files.
    mutating func resumeLog(_ log: ChangeLog) {
        self.log = log
        volume.recordChanges(sectorSize: log.sectorSize)
    }

    mutating func note(_ note: Int) {
        takeChanges()
        log?.note(note)
    }

    /// Notes what somebody stored in the memory of a file.
    mutating func store(_ value: UInt64, _ number: UInt64, _ index: Int, in life: Int) {
        guard life == self.life, words[number] != nil else { return }
        volume[number].memory[index] = value
        takeChanges()
        log?.store(volume[number].memory, in: number)
    }

    mutating func forgetMemory() {
        volume.forgetMemory()
        words = [:]
        life += 1
    }

    /// The open file of a descriptor.
    ///
    /// EBADF is a defect of the caller, as it is on the real file system.
    func file(_ descriptor: Int32) -> OpenFile {
        guard let file = open[descriptor] else { preconditionFailure("descriptor \(descriptor) is not open") }
        return file
    }

    /// The inode of a descriptor.
    func inode(_ descriptor: Int32) -> UInt64 {
        file(descriptor).inode
    }

    mutating func openFile(_ inode: UInt64, path: String, isWritable: Bool) -> Int32 {
        defer { nextDescriptor += 1 }
        open[nextDescriptor] = OpenFile(inode: inode, path: path, isWritable: isWritable)
        return nextDescriptor
    }

    /// The same for a file that is opened by this name.
    mutating func openFile(
        _ inode: UInt64,
        named name: String,
        in directory: UInt64,
        path: String,
        isWritable: Bool
    ) -> Int32 {
        let descriptor = openFile(inode, path: path, isWritable: isWritable)
        if knowsFilesByPath {
            let place = Place(directory: directory, name: EntryName(name))
            let object = objects[place] ?? UInt64(descriptor)
            objects[place] = object
            open[descriptor]?.object = object
        }
        return descriptor
    }

    /// The object that a name leads to, if it has one of its own and was opened.
    func object(of name: EntryName, in directory: UInt64) -> UInt64? {
        objects[Place(directory: directory, name: name)]
    }

    /// A name came to be, went, or took another one's place, and its object with it.
    mutating func renamed(_ name: String? = nil, to newName: String, in directory: UInt64) {
        let object = name.flatMap { objects.removeValue(forKey: Place(directory: directory, name: EntryName($0))) }
        objects[Place(directory: directory, name: EntryName(newName))] = object
    }

    mutating func close(_ descriptor: Int32) {
        precondition(open.removeValue(forKey: descriptor) != nil, "descriptor \(descriptor) is not open")
    }

    /// Frees the files that have lost their last name and their last descriptor.
    mutating func freeOrphans() {
        if volume.orphans.isEmpty { return }
        let inodes = Set(open.values.map(\.inode))
        for number in volume.orphans where !inodes.contains(number) { words[number] = nil }
        volume.freeOrphans { inodes.contains($0) }
    }

    /// A path below a path, for messages.
    func join(_ path: String, _ name: String) -> String {
        if name == "." || name.hasPrefix("/") { return name == "." ? path : name }
        return path.hasSuffix("/") ? path + name : "\(path)/\(name)"
    }
}
