// SPDX-License-Identifier: Apache-2.0
//
// Looking at a lock without taking it, for operators.

internal import _HoldfastCShims

/// The state of a lock file at one moment; it may have changed when it is read.
public enum LockStatus: Hashable, Sendable {
    /// There is no such file.
    case absent
    /// Nobody holds it.
    case free
    /// Somebody holds it.
    case held(LockHolder)
    /// Nobody holds it, and its last exclusive holder did not release it.
    ///
    /// Of a bare PID, whose process is proven dead, the record has the PID and the time at which the file was written.
    case abandoned(LockRecord)
    /// It cannot be told. Why, as a clause.
    case unknown(String)
}

extension LockFile {
    /// Looks who holds the lock.
    ///
    /// About 13 system calls, 17 if it is held; changes nothing.
    ///
    /// Asks the kernel's lock table first. Only where that names nobody does it try the lock for a moment, which another
    /// process's attempt without waiting may find busy.
    ///
    /// - Returns: What was seen.
    /// - Throws: ``LockError`` `.refused` for what is no regular file, `.systemFailure` if it cannot be opened or read.
    public func status() throws(LockError) -> LockStatus {
        do throws(SystemError) {
            // Looked at before it is opened: to open a device or a FIFO may do something.
            guard let status = try directory.status(of: name) else { return .absent }
            switch status.kind {
            case .regular: return try state(of: try directory.open(name, .read))
            case .symbolicLink: throw SystemError(call: "fstatat", code: ELOOP)
            case .directory, .other: throw SystemError(call: "fstatat", code: ENODEV)
            }
        } catch {
            if error.code == ENOENT { return .absent }
            throw LockError(error, path: path, while: "look at it")
        }
    }

    private func state(of file: borrowing Descriptor) throws(SystemError) -> LockStatus {
        let identity = try file.status().identity
        let contents = LockContents.read(file)
        let fileSystem = directory.fileSystem
        do throws(SystemError) {
            var families: [LockFamily] = [.flock, .openFileDescription]
            if let record = contents.record { families = [record.family] }
            if fileSystem.lockHolder(of: identity) != nil { return .held(.find(file)) }
            if families.contains(.openFileDescription), try fileSystem.isRangeLocked(file.rawValue) {
                return .held(.find(file))
            }
            if families.contains(.flock) {
                if try !file.tryLock(.flock, exclusive: true) { return .held(.find(file)) }
                file.unlock(.flock)
            }
        } catch {
            return .unknown("the kernel cannot tell whether it is locked: \(error)")
        }
        return verdict(of: contents, in: file)
    }

    /// What is to be said of an open file that is not locked in the kernel.
    ///
    /// A record without its lock is that of a holder that has gone, whatever its PID names now, here or in another PID
    /// namespace. Where other machines share the file system, some mounts keep locks from them: there its process must be
    /// proven dead too.
    func verdict(of contents: LockContents, in file: borrowing Descriptor) -> LockStatus {
        switch contents {
        case .record(let record):
            if record.isReleased { return .free }
            if directory.isShared {
                let liveness = Liveness.of(record.process, onSharedFileSystem: true)
                if !liveness.isDead { return .unknown("no process has locked it here; \(liveness.evidence)") }
            }
            return .abandoned(record)
        case .empty: return .free
        case .damaged: return .unknown("no process has locked it; the checksum of its record is wrong")
        case .pid(let pid):
            let liveness = Liveness.of(barePID: pid, in: file, onSharedFileSystem: directory.isShared)
            switch liveness {
            case .dead: return .abandoned(LockRecord(barePID: pid, writtenAt: (try? file.status())?.modified))
            case .alive: return .held(LockHolder(barePID: pid, liveness))
            case .unknown(let evidence): return .unknown(evidence)
            }
        case .recordAndMore: return .unknown("no process has locked it; it \(LockContents.more)")
        case .unreadable(let reason): return .unknown("no process has locked it; it \(reason)")
        }
    }

    /// Who is in the way now, for messages.
    func holderNow() -> LockHolder {
        LockAttempt.busy(nil).holder(of: self)
    }
}
