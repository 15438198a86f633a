// SPDX-License-Identifier: Apache-2.0
//
// Which servers can be relied on. Before 3.5.28 and 3.6.9 etcd answers linearizable reads with stale values after a
// pause or a change of the leader; 3.4 has the same defect up to 3.4.42 and is not maintained any more.

#if Etcd
/// The version of a server, as `Maintenance.Status` tells it.
package struct ServerVersion: Hashable {
    package var major: Int
    package var minor: Int
    package var patch: Int

    /// Reads `3.5.28`, also with a suffix such as `-rc.1`; nil for anything else.
    package init?(_ text: String) {
        let parts = text.prefix { $0 != "-" && $0 != "+" }.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let major = Int(parts[0]), let minor = Int(parts[1]), let patch = Int(parts[2]) else {
            return nil
        }
        (self.major, self.minor, self.patch) = (major, minor, patch)
    }

    package var isSupported: Bool {
        switch (major, minor) {
        case (3, 5): patch >= 28
        case (3, 6): patch >= 9
        default: (major, minor) >= (3, 7)
        }
    }
}
#endif
