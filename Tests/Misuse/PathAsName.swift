// SPDX-License-Identifier: Apache-2.0
//
// A name below a directory is one component that was checked. A path, which could lead elsewhere, is none.
// expect: cannot convert value of type 'String' to expected argument type 'FileName'

import Holdfast

func work(_ directory: OpenDirectory) throws {
    #if MISUSE
    _ = try LockFile("../elsewhere.lock", in: directory)
    #else
    guard let name = FileName("service.lock") else { return }
    _ = try LockFile(name, in: directory)
    #endif
}
