// SPDX-License-Identifier: Apache-2.0
//
// One call to a simulated file system: what was asked, and what came of it.

internal import _HoldfastCShims

/// A call that was made to a ``SimulatedFileSystem``, as strace(1) would show it.
public struct Call: Hashable, Sendable {
    /// The name of the function, as its manual page has it: `openat`, `fsync`, `renameat2`.
    public let function: String
    /// The descriptor that it works on; for a function that takes a name, the directory of the name.
    public let descriptor: Int32?
    /// The name that it was given.
    public let name: String?
    /// The new name, for a rename or a link.
    public let newName: String?
    /// The flags and commands it was given, by the names of their constants: `O_DIRECTORY`, `RENAME_NOREPLACE`, `LOCK_EX`.
    ///
    /// They are what the platform's own call would be given: on a build without `O_DIRECTORY` that flag is absent, and
    /// ``verifiesDirectory`` is set instead.
    public let flags: [String]
    /// Whether fstat(2) is asked for a directory as part of this call, because the platform has no `O_DIRECTORY`.
    public let verifiesDirectory: Bool
    let details: [String]

    /// Whether ``descriptor`` is open on a directory.
    public internal(set) var isOnDirectory = false
    /// Where the file is: the path at which ``descriptor`` was opened, and below it ``name`` if there is one.
    public internal(set) var path: String?
    /// What the function returned if it succeeded: a descriptor, a count of bytes, or 0.
    public internal(set) var result: Int?
    /// The errno that it left if it failed.
    ///
    /// While the call has not ended, both this and ``result`` are nil.
    public internal(set) var failure: Int32?
    /// Whether the fault plan had a part in the outcome.
    public internal(set) var isFaulted = false

    init(
        _ function: String,
        _ descriptor: Int32? = nil,
        name: String? = nil,
        newName: String? = nil,
        flags: [String] = [],
        details: [String] = [],
        verifiesDirectory: Bool = false
    ) {
        self.function = function
        self.descriptor = descriptor
        self.name = name
        self.newName = newName
        self.flags = flags
        self.details = details
        self.verifiesDirectory = verifiesDirectory
    }
}

extension Call {
    /// The descriptor that a successful `open` or `openat` returned.
    ///
    /// It says which later calls work on what this one opened.
    public var opened: Int32? {
        function == "open" || function == "openat" ? result.map(Int32.init) : nil
    }

    /// The name of the call in a `SystemError`: the function, and the command or flag that tells it from others.
    var errorName: String {
        if function == "fcntl" { return "fcntl(\(flags.first ?? ""))" }
        return flags.contains("O_TMPFILE") ? "openat(O_TMPFILE)" : function
    }
}

extension Call: CustomStringConvertible {
    /// For example `openat(1000, ".", O_RDONLY|O_DIRECTORY) = 1003` or `fsync(1003) = -1 EIO`.
    public var description: String {
        var arguments: [String] = descriptor.map { ["\($0)"] } ?? []
        if let name { arguments.append("\"\(name)\"") }
        if let newName {
            if let descriptor { arguments.append("\(descriptor)") }
            arguments.append("\"\(newName)\"")
        }
        if !flags.isEmpty { arguments.append(flags.joined(separator: "|")) }
        arguments += details
        let verified = verifiesDirectory ? ", fstat" : ""
        return "\(function)(\(arguments.joined(separator: ", ")))\(verified) = \(outcome)"
    }

    private var outcome: String {
        if let failure { return "-1 \(errnoName(failure))" }
        return result.map(String.init) ?? "?"
    }
}

/// The name of an errno's constant, or its number.
func errnoName(_ code: Int32) -> String {
    switch code {
    case EACCES: "EACCES"
    case EAGAIN: "EAGAIN"
    case EBUSY: "EBUSY"
    case EDQUOT: "EDQUOT"
    case EEXIST: "EEXIST"
    case EFBIG: "EFBIG"
    case EINTR: "EINTR"
    case EINVAL: "EINVAL"
    case EIO: "EIO"
    case EISDIR: "EISDIR"
    case ELOOP: "ELOOP"
    case EMFILE: "EMFILE"
    case EMLINK: "EMLINK"
    case ENAMETOOLONG: "ENAMETOOLONG"
    case ENFILE: "ENFILE"
    case ENODATA: "ENODATA"
    case ENOENT: "ENOENT"
    case ENOLCK: "ENOLCK"
    case ENOMEM: "ENOMEM"
    case ENOSPC: "ENOSPC"
    case ENOSYS: "ENOSYS"
    case ENOTDIR: "ENOTDIR"
    case ENOTEMPTY: "ENOTEMPTY"
    case EOPNOTSUPP: "EOPNOTSUPP"
    case EPERM: "EPERM"
    case EROFS: "EROFS"
    case ESPIPE: "ESPIPE"
    case ESTALE: "ESTALE"
    case EXDEV: "EXDEV"
    default: "errno \(code)"
    }
}
