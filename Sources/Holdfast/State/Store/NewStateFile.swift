// SPDX-License-Identifier: Apache-2.0
//
// The replacement of a file, under the lock. Each step stands for the crash that it makes harmless:
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

/// The file that a save finds under the name and replaces.
struct ReplacedFile: Sendable {
    /// Nil if there is no sound state.
    var header: FrameHeader?
    /// Empty if it was not asked for.
    var payload: [UInt8] = []
    /// Of an ordinary file with a sound state, which can be kept as the previous copy.
    var status: FileStatus?
    /// What the new file takes over; nil if there is no file.
    var metadata: FileMetadata?
}

/// A whole state file that has not got its name yet; it is gone again unless it gets it.
struct NewStateFile: ~Copyable {
    private let pending: PendingFile
    private let directory: OpenDirectory
    let status: FileStatus
    let frame: SealedHeader

    /// Makes a file of one frame, or a two-slot file with this header.
    init(
        at place: StatePlace,
        _ payload: [UInt8],
        _ header: FrameHeader,
        in slots: SlotFileHeader? = nil,
        _ metadata: FileMetadata?,
        flushes: Bool
    ) throws(SystemError) {
        let metadata = if let metadata { metadata } else { try place.directory.metadata(for: place.creation) }
        var pending = try PendingFile(place.names.temporary(), in: place.directory)
        try slots?.writeFirstPage(of: pending.file)
        try slots?.layOutSlots(of: pending.file)
        let frame = try pending.file.write(header, payload, at: slots?.offset(of: header.generation.slot) ?? 0)
        let status = try pending.file.status()
        // A file system that lost bytes without an error, or another program at work in this file.
        if status.size != slots?.fileLength ?? Int64(Frame.headerLength + payload.count) {
            throw SystemError(call: "pwritev", code: EIO)
        }
        try metadata?.apply(to: pending.file, having: status)
        // On Darwin this is a barrier: the bytes go before the rename, and the full flush of the directory puts both
        // on the device. Elsewhere a barrier is fsync(2) itself.
        if flushes { try pending.file.sync(.barrier) }
        try pending.close()
        self.pending = pending
        directory = place.directory
        (self.status, self.frame) = (status, frame)
    }

    /// Gives the file this name, in place of the file that has it.
    ///
    /// A rename that failed and yet happened, as over a network, counts as done.
    consuming func install(as name: FileName) throws(SystemError) {
        let (directory, identity) = (directory, status.identity)
        do throws(SystemError) {
            try pending.install(as: name)
        } catch {
            guard let status = try? directory.status(of: name), status.identity == identity else { throw error }
        }
    }
}

extension StatePlace {
    /// The directory, opened for the flush of a name that a file is about to get; nil if the save does not flush.
    func openForFlush(_ flushes: Bool) throws(SystemError) -> Descriptor? {
        flushes ? try directory.openItself() : nil
    }

    /// Gives the old file, which has this status, its second name.
    ///
    /// The directory's flush after the rename covers it too.
    func keepPrevious(_ status: FileStatus) throws(SystemError) {
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
}

extension Descriptor? {
    /// Flushes the name that a file has got.
    ///
    /// - Returns: Why that failed, if it did. A failure takes nothing back.
    consuming func flushName() -> SystemError? {
        guard let entry = self else { return nil }
        do throws(SystemError) {
            try entry.sync(.full)
        } catch {
            return error
        }
        try? entry.close()
        return nil
    }
}
