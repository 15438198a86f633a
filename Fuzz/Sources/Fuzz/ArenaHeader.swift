// SPDX-License-Identifier: Apache-2.0
//
// An arena that somebody left, a real file, because it is mapped: its first 128 bytes are the input's first ones, its
// mutexes the others. Sealed: the header's checksum is right. Variant A: the file is as long as an arena is, whatever the
// input is. Variant B: it is the arena of this boot. Changing: its mutexes are taken, where they are free.

internal import Glibc
internal import Holdfast

private let name = "fuzz.\(getpid()).arena"
private let count = 2
private let cells = 12288
private let bootID = Array(fileBytes("/proc/sys/kernel/random/boot_id").prefix(36))
/// On the file system of memory; the name goes with the process, if that ends in peace.
private let file: Int32 = {
    atexit { unsafe unlink("/dev/shm/\(name)") }
    return unsafe open("/dev/shm/\(name)", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
}()

func fuzzArenaHeader(_ input: [UInt8], _ choice: FuzzChoice) throws {
    var bytes = Array(input.prefix(128))
    if choice.contains(.sealed), bytes.count >= 64 {
        let sum = CRC64.of(bytes[..<56])
        bytes.replaceSubrange(56..<64, with: (0..<8).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) })
    }
    if choice.contains(.variantB), bytes.count >= 108 { bytes.replaceSubrange(72..<108, with: bootID) }
    let rest = Array(input.dropFirst(128).prefix(count * 64))
    let size = choice.contains(.variantA) ? cells + count * 64 : rest.isEmpty ? bytes.count : cells + rest.count
    check(ftruncate(file, 0) == 0 && ftruncate(file, off_t(size)) == 0)
    write(bytes, at: 0)
    if size > cells { write(rest, at: cells) }
    let directory = try OpenDirectory("/dev/shm")
    do throws(LockError) {
        let arena = try MutexArena(fileName(name), in: directory, count: count)
        guard choice.contains(.changing) else { return }
        for index in 0..<count {
            if case .acquired(let lock) = try arena[index].tryLock() {
                check(lock.token.value > 0)
                try lock.release()
            }
        }
    } catch {
        let codes: [LockError.Code] = [.refused, .unsupported, .compromised, .exhausted]
        check(codes.contains(error.code), "\(error)")
    }
}

private func write(_ bytes: [UInt8], at offset: Int) {
    let written = unsafe bytes.withUnsafeBytes { unsafe pwrite(file, $0.baseAddress, $0.count, off_t(offset)) }
    check(written == bytes.count)
}

private func fileBytes(_ path: String) -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    defer { close(descriptor) }
    return unsafe [UInt8](unsafeUninitializedCapacity: 64) { buffer, count in
        count = unsafe max(0, read(descriptor, buffer.baseAddress, 64))
    }
}
