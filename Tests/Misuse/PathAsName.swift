// SPDX-License-Identifier: Apache-2.0
//
// A name below a directory is one component that was checked. A path, which could lead elsewhere, is none.
// expect: cannot convert value of type 'String' to expected argument type 'FileName'

import Holdfast

func work(_ directory: OpenDirectory, _ path: String) throws {
    #if MISUSE
    _ = try LockFile(path, in: directory)
    #else
    guard let name = FileName(path) else { return }
    _ = try LockFile(name, in: directory)
    _ = try LockFile("service.lock", in: directory)
    #endif
}
