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
            var families: [LockKind] = [.flock, .openFileDescription]
            if case .record(let record) = contents { families = [record.family.kind] }
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
        switch contents {
        case .record(let record): return record.isReleased ? .free : .abandoned(record)
        case .empty: return .free
        case .damaged: return .unknown("nobody has locked it; the checksum of its record is wrong")
        case .pid(let pid):
            switch Liveness.of(ProcessIdentity(pid: pid), onSharedFileSystem: directory.isShared) {
            case .dead(let evidence):
                return .unknown("nobody has locked it; it names PID \(pid), which is dead: \(evidence)")
            case .alive(let evidence):
                let name = ProcessIdentity.name(of: pid)
                return .held(LockHolder(pid: pid, name: name, note: evidence))
            case .unknown(let evidence): return .unknown(evidence)
            }
        case .unreadable(let reason): return .unknown("nobody has locked it; it \(reason)")
        }
    }

    /// Who is in the way now, for messages.
    func holderNow() -> LockHolder {
        LockAttempt.busy(nil).holder(of: self)
    }
}
