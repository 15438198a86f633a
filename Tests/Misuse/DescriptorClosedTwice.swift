// SPDX-License-Identifier: Apache-2.0
//
// package
// A descriptor is closed once: by the second time its number may be another file's.
// expect: 'descriptor' consumed more than once

import Holdfast

func work(_ directory: OpenDirectory, _ name: FileName) throws {
    let descriptor = try directory.open(name, .read)
    try descriptor.close()
    #if MISUSE
    try descriptor.close()
    #endif
}
