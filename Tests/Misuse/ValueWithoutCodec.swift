// SPDX-License-Identifier: Apache-2.0
//
// A codec is found from the value. Where there is none to be found, the compiler says so.
// expect: a value that is neither Codable nor [UInt8] needs a codec: pass 'codec:'

import Holdfast

struct Plain {}

struct Counted: Codable { var count: Int }

func work(_ directory: OpenDirectory) throws {
    #if MISUSE
    _ = try StateFile<Plain>("/var/lib/service/state")
    _ = try StateFile<Plain>("state", in: directory)
    #else
    _ = try StateFile<Counted>("/var/lib/service/state")
    _ = try StateFile<[UInt8]>("state", in: directory)
    #endif
}
