// SPDX-License-Identifier: Apache-2.0
//
// The replacement itself, under the lock. Each step stands for the crash that it makes harmless:
//
//   open the directory    before anything is at stake, so that running out of descriptors is a clean failure
//   create the temporary  O_EXCL, mode 0600: no other user reads it before it has the rights that it ends with
//   write, check the size a short file must not be renamed into place
//   owner, xattrs, mode   of the old file, or of a new one what FileCreation.swift says; the flush then covers them
//   fsync(file)           so that the rename cannot be on the disk before what it names (xfs and F2FS would let it)
//   link to .previous     the old file keeps a name
//   renameat              the one step at which the new state takes effect, all of it at once
//   fsync(directory)      so that the rename is on the disk when the save returns
//
// Any failure before the rename removes the temporary file; after it, nothing may claim that the state was not saved.

internal import _HoldfastCShims

/// What kind of file a replacement makes.
enum FileImage: Sendable {
    /// The frame and nothing else.
    case frame
    /// The frame in its slot of a two-slot file.
    case slots(SlotFileHeader)

    var strategy: StateStrategy {
        switch self {
        case .frame: .replace
        case .slots: .twoSlot
        }
    }
}

extension ReplaceEngine {
    /// Puts a new file in the place of the target, whose metadata it takes over, or else the given.
    ///
    /// Only a target, which is sound, is kept as the previous copy. `willRename` is called when all is ready but that.
    func replace(
        _ target: TargetState?,
        by payload: [UInt8],
        _ header: FrameHeader,
        _ request: SaveRequest,
        metadata: FileMetadata? = nil,
        as image: FileImage = .frame,
        willRename: () -> Void = {}
    ) throws(StateError) -> StateCommit {
        sweep()
        let flushes = request.durability == .powerLoss
        let syncError: SystemError?
        do throws(SystemError) {
            if flushes {
                let entry = try directory.openItself()
                let frame = try put(target, payload, header, flushes, metadata, image, willRename)
                syncError = Self.flush(entry)
                if let syncError, syncError.isFailedFlush { doubt(frame) }
            } else {
                _ = try put(target, payload, header, flushes, metadata, image, willRename)
                syncError = nil
            }
        } catch {
            throw StateError(.notSaved, request.operation, path: path, cause: error)
        }
        return try commit(header, image.strategy, syncError: syncError, flushes, request)
    }

    /// What a save reports that is in place.
    func commit(
        _ header: FrameHeader,
        _ strategy: StateStrategy,
        syncError: SystemError?,
        _ flushes: Bool,
        _ request: SaveRequest
    ) throws(StateError) -> StateCommit {
        if let syncError, options.requiresDirectorySync {
            throw StateError(.directoryNotSynced, request.operation, path: path, cause: syncError)
        }
        return StateCommit(
            store: header.store,
            generation: header.generation,
            strategy: strategy,
            durability: flushes && syncError == nil ? .powerLoss : .processCrash,
            directorySyncError: syncError,
            token: header.fencingToken,
            length: Int(header.length)
        )
    }

    /// Everything up to the rename.
    private func put(
        _ target: TargetState?,
        _ payload: [UInt8],
        _ header: FrameHeader,
        _ flushes: Bool,
        _ metadata: FileMetadata?,
        _ image: FileImage,
        _ willRename: () -> Void
    ) throws(SystemError) -> SealedHeader {
        var metadata = target?.metadata ?? metadata
        if metadata == nil { metadata = try directory.metadata(for: creation) }
        let new = try make(payload, header, metadata, flushes, image)
        let (status, frame) = (new.status, new.frame)
        do throws(SystemError) {
            if let target, target.isPlain, options.keepsPrevious { try keepPrevious(target.status) }
            willRename()
            try install(new)
        } catch {
            guard case .slots(let slots) = image, error.code == EBUSY, target == nil, options.adoptsEmpty else {
                throw error
            }
            return try fillEmptyFile(payload, header, slots)
        }
        if case .frame = image { remember(status, frame) }
        return frame
    }

    /// Makes a two-slot file of the empty file itself, which is a mount point and cannot be replaced.
    ///
    /// The first page comes last, after a flush of the rest: until then the file is refused as no state. After a failure
    /// it is empty again; what a crash leaves has an empty first page, and an operator has to empty the rest.
    private func fillEmptyFile(
        _ payload: [UInt8],
        _ header: FrameHeader,
        _ slots: SlotFileHeader
    ) throws(SystemError) -> SealedHeader {
        let file = try directory.open(names.state, .readWrite)
        // Alone: another process may be about to do the same by another name of the file.
        guard case .locked = try file.lockAlone(), try file.status().size == 0 else {
            throw SystemError(call: "renameat", code: EBUSY)
        }
        do throws(SystemError) {
            try slots.layOutSlots(of: file)
            let frame = try Self.fill(file, header, payload, at: slots.offset(of: header.generation.slot))
            try file.sync(.full)
            try slots.writeFirstPage(of: file)
            try file.sync(.full)
            return frame
        } catch {
            try? file.truncate(to: 0)
            throw error
        }
    }

    /// A whole file beside the target.
    private struct WholeFile: ~Copyable {
        let pending: PendingFile
        let status: FileStatus
        let frame: SealedHeader
    }

    private func make(
        _ payload: [UInt8],
        _ header: FrameHeader,
        _ metadata: FileMetadata?,
        _ flushes: Bool,
        _ image: FileImage
    ) throws(SystemError) -> WholeFile {
        var pending = try PendingFile(names.temporary(), in: directory)
        let frame: SealedHeader
        let length: Int64
        switch image {
        case .frame:
            frame = try Self.fill(pending.file, header, payload)
            length = Int64(Frame.headerLength + payload.count)
        case .slots(let slots):
            try slots.writeFirstPage(of: pending.file)
            try slots.layOutSlots(of: pending.file)
            frame = try Self.fill(pending.file, header, payload, at: slots.offset(of: header.generation.slot))
            length = slots.fileLength
        }
        let status = try pending.file.status()
        // A file system that lost bytes without an error, or another program at work in this file.
        if status.size != length { throw SystemError(call: "pwritev", code: EIO) }
        try metadata?.apply(to: pending.file, having: status)
        // On Darwin this is a barrier: the bytes go before the rename, and the full flush of the directory puts both
        // on the device. Elsewhere a barrier is fsync(2) itself.
        if flushes { try pending.file.sync(.barrier) }
        try pending.close()
        return WholeFile(pending: pending, status: status, frame: frame)
    }

    /// Writes a frame.
    static func fill(
        _ file: borrowing Descriptor,
        _ header: FrameHeader,
        _ payload: [UInt8],
        at offset: Int64 = 0
    ) throws(SystemError) -> SealedHeader {
        // Result carries the type of the error through closures that are declared `rethrows`.
        let outcome = unsafe payload.withUnsafeBytes { payload in
            let (bytes, checksum) = unsafe header.encoded(before: payload)
            return unsafe bytes.span.withUnsafeBytes { bytes in
                Result { () throws(SystemError) in
                    try unsafe file.writeAll(bytes, payload, at: offset)
                    return SealedHeader(header: header, checksum: checksum)
                }
            }
        }
        return try outcome.get()
    }

    /// Gives the old file its second name.
    ///
    /// The directory's flush after the rename covers it too.
    private func keepPrevious(_ status: FileStatus) throws(SystemError) {
        let link = names.temporary()
        do throws(SystemError) {
            try directory.link(names.state, to: link)
            try directory.rename(link, to: names.previous, replacing: true)
        } catch {
            try? directory.unlink(link)
            throw error
        }
        // If both names were the same file already (an earlier save failed between here and its own rename), rename(2) has
        // done nothing and left the link.
        if status.links > 1 { try? directory.unlink(link) }
    }

    /// Keeps the target's state as the previous copy, in a file of its own, since the target is not an ordinary one.
    func keepPrevious(
        _ payload: [UInt8],
        _ target: TargetState,
        _ request: SaveRequest
    ) throws(StateError) {
        let flushes = request.durability == .powerLoss
        do throws(SystemError) {
            let copy = try make(payload, target.header, target.metadata, flushes, .frame)
            try copy.pending.install(as: names.previous)
        } catch {
            throw StateError(.notSaved, request.operation, path: path, cause: error)
        }
    }

    /// The rename.
    ///
    /// A rename that failed and yet happened, as over a network, counts as done.
    private func install(_ new: consuming WholeFile) throws(SystemError) {
        let identity = new.status.identity
        do throws(SystemError) {
            try new.pending.install(as: names.state)
        } catch {
            guard let status = try? directory.status(of: names.state), status.identity == identity else { throw error }
        }
    }

    /// Makes the rename durable.
    ///
    /// What fails here is reported, and takes nothing back.
    private static func flush(_ entry: consuming Descriptor) -> SystemError? {
        do throws(SystemError) {
            try entry.sync(.full)
        } catch {
            return error
        }
        try? entry.close()
        return nil
    }
}
