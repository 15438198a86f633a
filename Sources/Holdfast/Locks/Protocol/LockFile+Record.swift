// SPDX-License-Identifier: Apache-2.0
//
// The record of a lock file: what a holder finds of its predecessor, writes over it, and blanks at its end. Called only with
// the kernel lock held, so no other process writes.

internal import _HoldfastCShims

/// What the holders before left in a lock file.
struct PreviousRecord {
    /// At most one more than a record's.
    var size = 0
    var family: LockFamily?
    var token: UInt64 = 0
    var limit: UInt64 = 0
    var isOfThisBoot = false
    var abandoned: LockRecord?
}

extension LockFile {
    /// Reads the record of a file.
    ///
    /// `abandoned` judges whether its holder left it without a release.
    func previousRecord(
        in file: borrowing Descriptor,
        _ template: LockRecordTemplate,
        abandoned: (LockRecordSummary, UnsafeRawBufferPointer) -> LockRecord? = { summary, bytes in
            summary.isReleased ? nil : unsafe LockRecord(bytes)
        }
    ) throws(LockError) -> PreviousRecord {
        do throws(SystemError) {
            // One byte more than a record, which tells whether that is all.
            return try unsafe withBuffer(LockRecordLayout.size + 1) { buffer throws(SystemError) in
                var previous = PreviousRecord()
                previous.size = try unsafe file.readAll(into: buffer)
                let bytes = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<previous.size])
                if let summary = unsafe LockRecordSummary(bytes) {
                    previous.family = summary.family
                    previous.token = summary.token
                    previous.limit = summary.limit
                    previous.isOfThisBoot = unsafe template.isOfSameBoot(as: summary, in: bytes)
                    previous.abandoned = unsafe abandoned(summary, bytes)
                }
                return previous
            }
        } catch {
            throw LockError(error, path: path, while: "read its record")
        }
    }

    /// What keeps this process from taking over an exclusively locked file with this record; nil if nothing does.
    func obstacle(
        after previous: PreviousRecord,
        in file: borrowing Descriptor
    ) throws(LockError) -> LockAdmission? {
        if let family = previous.family, family != self.family { throw familyMismatch }
        // A record with anything behind it is read once more, for the reason to refuse it.
        if previous.family == nil || previous.size != LockRecordLayout.size {
            if let other = try owner(in: LockContents.read(file), of: file) { return .keptOut(other) }
        }
        // A file without a record has no family yet. Its first user holds both for its whole turn, so that a first user of
        // the other family cannot slip in beside it. A waiter holds nothing: two waiters with one family each would wait
        // for each other.
        if previous.family == nil, try !lockOtherFamily(file) { return .busy }
        return nil
    }

    /// Writes this process's record in place of the previous one.
    func record(
        _ template: LockRecordTemplate,
        in file: borrowing Descriptor,
        after previous: PreviousRecord,
        token: FencingToken?,
        limit: UInt64
    ) throws(LockError) {
        let mayBeLonger = previous.family == nil && previous.size > LockRecordLayout.size
        do throws(SystemError) {
            try write(template, to: file, token: token, limit: limit, mayBeLonger: mayBeLonger)
        } catch {
            throw LockError(error, path: path, while: "record the holder")
        }
    }

    /// Admits a reader that has locked the file in the kernel.
    func admitReader(_ file: borrowing Descriptor) throws(LockError) -> LockAdmission {
        try ownerAgainstReaders(file).map { .keptOut($0) } ?? .granted()
    }

    /// Who keeps a reader out that has locked the file in the kernel: the living process of a bare PID.
    ///
    /// - Throws: ``LockError`` `.familyMismatch`: writers that lock the file otherwise would not exclude it.
    func ownerAgainstReaders(_ file: borrowing Descriptor) throws(LockError) -> LockHolder? {
        let previous = try unsafe previousRecord(in: file, recordTemplate())
        if let family = previous.family, family != self.family { throw familyMismatch }
        guard previous.family == nil, case .pid(let pid) = LockContents.read(file) else { return nil }
        return try owner(in: .pid(pid), of: file)
    }

    var familyMismatch: LockError {
        let other = family.other == .flock ? "flock" : "open-file-description locks"
        return LockError(
            .familyMismatch,
            path: path,
            reason: "its users lock it with \(other), which this lock does not see"
        )
    }

    /// The process of a bare PID, which takes no kernel locks, unless it is proven dead.
    ///
    /// - Throws: ``LockError`` `.refused` for what is neither a PID nor a record: somebody's data, whose path was given by
    ///   mistake or leads to it by a hard link, is never overwritten.
    func owner(in contents: LockContents, of file: borrowing Descriptor) throws(LockError) -> LockHolder? {
        switch contents {
        case .record, .empty, .damaged: return nil
        case .recordAndMore:
            throw LockError(.refused, path: path, reason: "it \(LockContents.more), and is not overwritten")
        case .unreadable(let reason):
            throw LockError(.refused, path: path, reason: "it \(reason), and is not overwritten")
        case .pid(let pid):
            let liveness = Liveness.of(barePID: pid, in: file, onSharedFileSystem: directory.isShared)
            if liveness.isDead || pid == getpid() { return nil }
            return LockHolder(barePID: pid, liveness)
        }
    }

    /// False if a holder of the other family is in the way.
    ///
    /// A family that this file system lacks has no holders.
    func lockOtherFamily(_ file: borrowing Descriptor) throws(LockError) -> Bool {
        do throws(LockError) {
            return try lock(file, family.other)
        } catch  where error.code == .unsupported {
            return true
        }
    }

    /// Writes our record over whatever is there, with one call.
    func write(
        _ template: LockRecordTemplate,
        to file: borrowing Descriptor,
        token: FencingToken?,
        limit: UInt64,
        mayBeLonger: Bool = false
    ) throws(SystemError) {
        try unsafe withBuffer(LockRecordLayout.size) { buffer throws(SystemError) in
            unsafe template.fill(
                buffer,
                token: token?.value ?? 0,
                limit: limit,
                acquiredMilliseconds: hf_wall_clock_milliseconds()
            )
            try unsafe file.writeAll(UnsafeRawBufferPointer(buffer))
        }
        // What stood there may have been longer, if it was not a record of ours.
        if mayBeLonger { try file.truncate(to: Int64(LockRecordLayout.size)) }
    }

    /// Blanks line 1, which shows the holder.
    func blank(_ file: borrowing Descriptor, _ pidLength: Int) throws(SystemError) {
        try unsafe withBuffer(pidLength) { blanks throws(SystemError) in
            unsafe blanks.initializeMemory(as: UInt8.self, repeating: UInt8(ascii: " "))
            try unsafe file.writeAll(UnsafeRawBufferPointer(blanks))
        }
    }

    /// Whether the whole of a locked file is the record of this process that is not released.
    ///
    /// A file that is not, because a program that takes no locks wrote to it, is left as it is.
    func isOurs(_ file: borrowing Descriptor) throws(SystemError) -> Bool {
        try unsafe withBuffer(LockRecordLayout.size + 1) { buffer throws(SystemError) in
            let count = try unsafe file.readAll(into: buffer)
            let bytes = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<count])
            guard count == LockRecordLayout.size, let record = unsafe LockRecordSummary(bytes) else { return false }
            return !record.isReleased
        }
    }
}
