// SPDX-License-Identifier: Apache-2.0
//
// A new two-slot file: its first page, and zeros in every other one. Written, not only reserved: a write into reserved blocks
// changes the file's metadata, which would cost every first save of a slot a second flush.

extension SlotFileHeader {
    /// Writes the first page, which makes it a two-slot file.
    func writeFirstPage(of file: borrowing Descriptor) throws(SystemError) {
        let page = encoded()
        let first = unsafe page.span.withUnsafeBytes { bytes in
            Result { () throws(SystemError) in try unsafe file.writeAll(bytes) }
        }
        try first.get()
    }

    /// Writes all pages of a new file but the first.
    func layOutSlots(of file: borrowing Descriptor) throws(SystemError) {
        let zeros = [UInt8](repeating: 0, count: Int(min(1 << 20, fileLength)))
        var offset = Int64(SlotFile.page)
        while offset < fileLength {
            let count = Int(min(Int64(zeros.count), fileLength - offset))
            let outcome = unsafe zeros.withUnsafeBytes { zeros in
                Result { () throws(SystemError) in
                    try unsafe file.writeAll(UnsafeRawBufferPointer(rebasing: zeros[..<count]), at: offset)
                }
            }
            try outcome.get()
            offset += Int64(count)
        }
    }
}
