// SPDX-License-Identifier: Apache-2.0
//
// What the exclusive holder does with the record: reads what its predecessor left, takes the next token, writes its own,
// and blanks line 1 at the end. Called only with the kernel lock held, so nobody else writes.

internal import _HoldfastCShims

extension LockFile {
    /// Takes over the record of a file that we have just locked exclusively.
    func takeOver(_ file: borrowing Descriptor, mayFlush: Bool) throws(LockError) -> LockAdmission {
        let template = recordTemplate()
        let previous = try previousRecord(in: file, template)
        if let family = previous.family, family != self.family { throw familyMismatch }
        // A record with anything behind it is read once more, for the reason to refuse it.
        if previous.family == nil || previous.size != LockRecordLayout.size {
            let contents = LockContents.read(file)
            if isTornSidecar(contents, size: previous.size) {
                return try lockOtherFamily(file) ? .granted(hasBothFamilies: true) : .busy
            }
            if let other = try owner(in: contents, of: file) { return .keptOut(other) }
        }
        // A file without a record has no family yet. Whoever is first holds both for its whole turn, so that a first
        // user of the other family cannot slip in beside it. Who waits holds nothing: two waiters with one family each
        // would wait for each other.
        if previous.family == nil, try !lockOtherFamily(file) { return .busy }
        var token: FencingToken?
        var limit: UInt64 = 0
        if role == .fenced {
            var next = previous.token == .max ? .max : previous.token + 1
            limit = previous.limit
            // A record older than a token that we have had: an earlier copy of the file was put back.
            let newest = site.newestToken
            if !previous.isOfThisBoot || next >= limit || next <= newest {
                guard mayFlush else { return .busy }
                switch try TokenReservation.reserve(above: max(previous.token, newest), for: name, in: directory) {
                case .reserved(let first, let end): (next, limit) = (first, end)
                case .busy(let other): return .keptOut(other)
                }
            }
            token = FencingToken(next)
        }
        do throws(SystemError) {
            let mayBeLonger = previous.family == nil && previous.size > LockRecordLayout.size
            let isRecorded = role == .sidecar && previous.isOfThisProcess
            if !isRecorded {
                try write(template, to: file, token: token, limit: limit, mayBeLonger: mayBeLonger)
            }
        } catch {
            throw LockError(error, path: path, while: "record the holder")
        }
        if let token { site.newestToken = token.value }
        return .granted(
            token: token,
            abandoned: previous.abandoned,
            template,
            hasBothFamilies: previous.family == nil
        )
    }

    /// Whether a sidecar may be what a power cut made of a record that it tore.
    ///
    /// Nothing tells it from another program's data of that length. So nothing is written; but the state beside it, which
    /// is sound, is not shut off either.
    private func isTornSidecar(_ contents: LockContents, size: Int) -> Bool {
        guard role == .sidecar, size == LockRecordLayout.size, case .unreadable = contents else { return false }
        return true
    }

    /// Takes a locked file that this process may only read, as flock(1) does: with nothing written, and so without a token.
    ///
    /// Who locks it as we do is excluded. A first user of the other family takes both, so it is too, if it comes later; if
    /// it was here before, the kernel shows it.
    func takeUnrecorded(_ file: borrowing Descriptor) throws(LockError) -> LockAdmission {
        let previous = try previousRecord(in: file, recordTemplate())
        if let other = try ownerAgainstReaders(file) { return .keptOut(other) }
        // Where that cannot be asked there are no such locks.
        if previous.family == nil, (try? file.isRangeLocked()) == true { return .busy }
        return .granted(abandoned: previous.abandoned)
    }

    /// Who keeps a reader out that has locked the file in the kernel: the living process of a bare PID.
    ///
    /// - Throws: ``LockError`` `.familyMismatch`: writers that lock the file otherwise would not exclude it.
    func ownerAgainstReaders(_ file: borrowing Descriptor) throws(LockError) -> LockHolder? {
        let previous = try previousRecord(in: file, recordTemplate())
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

    private struct Previous {
        /// At most one more than a record's.
        var size = 0
        var family: LockFamily?
        var token: UInt64 = 0
        var limit: UInt64 = 0
        var isOfThisBoot = false
        var isOfThisProcess = false
        var abandoned: LockRecord?
    }

    private func previousRecord(
        in file: borrowing Descriptor,
        _ template: LockRecordTemplate
    ) throws(LockError) -> Previous {
        do throws(SystemError) {
            // One byte more than a record, which tells whether that is all.
            return try unsafe withBuffer(LockRecordLayout.size + 1) { buffer throws(SystemError) in
                var previous = Previous()
                previous.size = try unsafe file.readAll(into: buffer)
                let bytes = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<previous.size])
                if let summary = unsafe LockRecordSummary(bytes) {
                    previous.family = summary.family
                    previous.token = summary.token
                    previous.limit = summary.limit
                    previous.isOfThisBoot = unsafe template.isOfSameBoot(as: summary, in: bytes)
                    if role == .sidecar {
                        previous.isOfThisProcess = unsafe template.isOfSameProcess(as: summary, in: bytes)
                        let other = previous.isOfThisProcess ? nil : unsafe LockRecord(bytes)
                        previous.abandoned = other.flatMap { Liveness.of($0.process).isAlive ? nil : $0 }
                    } else if !summary.isReleased {
                        previous.abandoned = unsafe LockRecord(bytes)
                    }
                }
                return previous
            }
        } catch {
            throw LockError(error, path: path, while: "read its record")
        }
    }

    /// False if a holder of the other family is in the way.
    ///
    /// A family that this file system lacks has no holders.
    private func lockOtherFamily(_ file: borrowing Descriptor) throws(LockError) -> Bool {
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

    /// The end of an exclusive lock: line 1 is blanked, or a PID file removed.
    ///
    /// The descriptor is closed afterwards. A file that is our record no more, because a program that takes no locks wrote to
    /// it, is left as it is.
    func endRecord(of descriptor: Int32, pidLength: Int) throws(SystemError) {
        let fileSystem = directory.fileSystem
        guard try isOurs(descriptor) else { return }
        if role == .pidFile, try unlinkIfOurs(descriptor) { return }
        try unsafe withBuffer(pidLength) { blanks throws(SystemError) in
            unsafe blanks.initializeMemory(as: UInt8.self, repeating: UInt8(ascii: " "))
            _ = try retrying { () throws(SystemError) in
                try unsafe fileSystem.write(
                    descriptor,
                    UnsafeRawBufferPointer(blanks),
                    UnsafeRawBufferPointer(start: nil, count: 0),
                    at: 0
                )
            }
        }
    }

    /// Whether the whole of a locked file is the record of this process that is not released.
    private func isOurs(_ descriptor: Int32) throws(SystemError) -> Bool {
        let fileSystem = directory.fileSystem
        return try unsafe withBuffer(LockRecordLayout.size + 1) { buffer throws(SystemError) in
            let count = try retrying { () throws(SystemError) in
                try unsafe fileSystem.read(
                    descriptor,
                    into: buffer,
                    UnsafeMutableRawBufferPointer(start: nil, count: 0),
                    at: 0
                )
            }
            let bytes = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<count])
            guard count == LockRecordLayout.size, let record = unsafe LockRecordSummary(bytes) else { return false }
            return !record.isReleased
        }
    }
}
