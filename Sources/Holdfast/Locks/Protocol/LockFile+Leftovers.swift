// SPDX-License-Identifier: Apache-2.0
//
// Private names beside a lock file, under which a file is made or goes.

extension LockFile {
    static let removingSuffix = "removing"

    /// Removes what publishers and cleaners left that died in the middle.
    func sweepLeftovers() {
        directory.sweepLeftovers(
            of: name,
            suffixes: [OpenDirectory.publishingSuffix, Self.removingSuffix],
            isOurs: Self.isLeftover
        )
    }

    /// Whether a file under a private name is one of ours: a file on its way out, or a new one, perhaps torn by a power cut.
    static func isLeftover(_ file: borrowing Descriptor) -> Bool {
        switch LockContents.read(file) {
        case .record, .damaged, .pid, .empty: true
        case .recordAndMore: false
        case .unreadable: (try? file.status())?.size == Int64(LockRecordLayout.size)
        }
    }
}
