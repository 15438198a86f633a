// SPDX-License-Identifier: Apache-2.0
//
// Who holds a lock, for messages and for an operator: the record in the file and the kernel's lock table, side by side.

internal import _HoldfastCShims

/// Who holds a lock, as far as it can be told, and how that is known.
public struct LockHolder: Hashable, Codable, Sendable {
    /// Its PID in our PID namespace if the kernel told it, else in its own.
    public internal(set) var pid: Int32?
    /// The name of its executable, or the label that it recorded.
    public internal(set) var name: String?
    /// What it recorded about itself, if the file has a record that is not released.
    public internal(set) var record: LockRecord?
    /// Whether the kernel's lock table (`/proc/locks`) names it; otherwise only the record, or nothing, does.
    public internal(set) var isNamedByKernel: Bool
    /// What there is to say of it in words, when neither names a process.
    public internal(set) var note: String?
    /// How a PID is known that neither a record nor the kernel names.
    var evidence = "by the PID in the file alone"
    /// What an operator may do about it, and what would not help, as a clause.
    package var remedy = "deleting the file would not free the lock"

    package init(
        pid: Int32? = nil,
        name: String? = nil,
        record: LockRecord? = nil,
        isNamedByKernel: Bool = false,
        note: String? = nil
    ) {
        self.pid = pid
        self.name = name
        self.record = record
        self.isNamedByKernel = isNamedByKernel
        self.note = note
    }
}

extension LockHolder: CustomStringConvertible {
    /// For example `process 1234 (holdfastctl), since 2026-02-03T04:05:06Z, by its record and the kernel`.
    public var description: String {
        guard let pid else { return note ?? "a process that cannot be seen from here" }
        var text = record?.process.pid == pid ? record?.process.words ?? "" : "process \(pid)"
        if let name { text += " (\(name))" }
        if let record { text += ", since \(utcTime(record.acquiredMilliseconds))" }
        switch (isNamedByKernel, record) {
        case (true, .some): text += ", by its record and the kernel"
        case (true, nil): text += ", by the kernel"
        case (false, .some): text += ", by its record alone"
        case (false, nil): text += ", \(evidence)"
        }
        if let note { text += " (\(note))" }
        return text
    }
}

extension LockHolder {
    /// The holder of a mutex, by the slot of the arena that it has.
    init(slotOf pid: Int32, name: String?, note: String?) {
        self.init(pid: pid, name: name, note: note)
        evidence = "by its slot of the arena"
        remedy = "the mutex is free when that process releases it or ends"
    }

    /// The previous holder, which never released the lock.
    init(abandoned record: LockRecord) {
        self.init(pid: record.process.pid, name: record.label, record: record)
    }

    /// The process that a bare PID names, which has locked nothing in the kernel.
    init(barePID pid: Int32, _ liveness: Liveness) {
        self.init(pid: pid, name: ProcessIdentity.name(of: pid), note: liveness.evidence)
        remedy = """
            nothing is locked in the kernel: if that process is not the one that wrote the file, delete the file
            """
    }

    /// Merges what the record and the kernel say about the holder of an open lock file.
    package static func find(_ file: borrowing Descriptor) -> LockHolder {
        let contents = LockContents.read(file)
        let kernelPID = (try? file.status()).flatMap { file.fileSystem.lockHolder(of: $0.identity) }
        var holder = LockHolder(pid: kernelPID, isNamedByKernel: kernelPID != nil)
        if let record = contents.record, !record.isReleased || record.process.pid == kernelPID {
            // A PID of another namespace is a number that the kernel's table, which shows ours, does not have.
            if let kernelPID, kernelPID != record.process.pid || record.process.isOfAnotherNamespace {
                holder.note = "the record says \(record.process.words), \(record.label)"
            } else {
                holder.pid = record.process.pid
                holder.name = record.label
                holder.record = record
            }
        } else if case .pid(let pid) = contents, kernelPID == nil {
            holder.pid = pid
        }
        if let pid = holder.pid, holder.name == nil { holder.name = ProcessIdentity.name(of: pid) }
        // The descriptor of a holder that ended lives on in a child that inherited it.
        let process = holder.record?.process ?? holder.pid.map { ProcessIdentity(pid: $0) }
        if holder.note == nil, let process, Liveness.of(process).isDead {
            holder.note = "which has ended; a process that inherited the lock from it holds it"
        }
        return holder
    }
}
