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
    /// The memory of the files that are mapped.
    private(set) var memories: [UInt64: MappedMemory] = [:]
    /// All memory that processes have mapped, by its address, and how often; also what is no file's since a reboot.
    private var mappings: [UInt: (memory: MappedMemory, count: Int)] = [:]
    /// What the clock shows.
    var time: Int64 = 0

    private(set) var calls: [Call] = []
    private var epoch = 0
    /// More calls than this are a loop that does not end.
    var callLimit = Int.max
    var faults = FaultPlan.none
    var hook: SimulatedFileSystem.Hook?

    var isShared = false
    /// Whether a lock on the first byte of a file is granted to all: what an arena would be without its maintenance lock.
    var ignoresMaintenanceLocks = false
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
        takeStores()
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
    /// A call without a record is another process's.
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
        takeStores()
        log?.note(note)
    }

    /// Takes over what processes have stored in the memory of files since the last call.
    mutating func takeStores() {
        if !memories.isEmpty {
            for (number, memory) in memories.sorted(by: { $0.key < $1.key }) {
                let stores = memory.stores(over: volume[number].bytes)
                if !stores.isEmpty { volume.store(stores, in: number) }
            }
        }
        takeChanges()
    }

    /// Writes bytes, which also those see who have the file mapped.
    mutating func write(_ bytes: ArraySlice<UInt8>, to number: UInt64, at offset: Int) {
        volume.write(bytes, to: number, at: offset)
        memories[number]?.show(volume[number].bytes, offset..<offset + bytes.count)
    }

    mutating func resize(_ number: UInt64, to size: Int) {
        volume.resize(number, to: size)
        memories[number]?.clear(from: size)
    }

    /// The address of the file's memory, which all who map it share.
    mutating func map(_ descriptor: Int32, length: Int) -> UInt {
        let number = inode(descriptor)
        let memory = memories[number] ?? MappedMemory(volume[number].bytes, length: length)
        memories[number] = memory
        volume[number].isMapped = true
        mappings[memory.address, default: (memory, 0)].count += 1
        return memory.address
    }

    mutating func unmap(_ address: UInt) {
        takeStores()
        guard let (memory, count) = mappings[address] else { preconditionFailure("nothing is mapped there") }
        mappings[address] = count > 1 ? (memory, count - 1) : nil
        if count > 1 { return }
        if let number = memories.first(where: { $0.value === memory })?.key { memories[number] = nil }
        freeOrphans()
    }

    /// Ends what processes have in memory; what they mapped before is no file's any more.
    mutating func reboot() {
        takeStores()
        volume.reboot()
        memories = [:]
        for descriptor in open.keys {
            open[descriptor]?.setRange(wholeFile, nil)
            open[descriptor]?.flock = nil
        }
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
        let inodes = Set(open.values.map(\.inode) + memories.keys)
        volume.freeOrphans { inodes.contains($0) }
    }

    /// A path below a path, for messages.
    func join(_ path: String, _ name: String) -> String {
        if name == "." || name.hasPrefix("/") { return name == "." ? path : name }
        return path.hasSuffix("/") ? path + name : "\(path)/\(name)"
    }
}
