// SPDX-License-Identifier: Apache-2.0
//
// mmap(2) and fallocate(2): the memory of a file is one for all who map it, and the same as its bytes.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory)
struct MappingTests {
    private func word(_ base: UnsafeMutableRawPointer, at offset: Int) -> UInt64 {
        unsafe base.load(fromByteOffset: offset, as: UInt64.self)
    }

    private func makeFile(_ ground: Ground, size: Int64 = 100) throws -> (OpenDirectory, FileName) {
        let directory = try ground.makeDirectory()
        let name = try directory.name("file")
        try directory.open(name, .createNew(permissions: 0o600)).truncate(to: size)
        return (directory, name)
    }

    @Test(arguments: Ground.allCases)
    func storesAreSeenByAllAndInTheFile(_ ground: Ground) throws {
        let (directory, name) = try makeFile(ground)
        let one = try directory.open(name, .readWrite)
        let two = try directory.open(name, .read)
        let mine = try unsafe one.map(length: 100, isWritable: true)
        let other = try unsafe two.map(length: 100, isWritable: false)
        unsafe mine.storeBytes(of: UInt64(0x6162_6364_6566_6768).bigEndian, toByteOffset: 8, as: UInt64.self)
        #expect(unsafe word(other, at: 8) == word(mine, at: 8))
        #expect(try two.read() == String(repeating: "\0", count: 8) + "abcdefgh" + String(repeating: "\0", count: 84))
        unsafe directory.fileSystem.unmap(other, length: 100)
        try one.write("ABCDEFGH", at: 16)
        #expect(unsafe word(mine, at: 16) == UInt64(0x4142_4344_4546_4748).bigEndian)
        unsafe directory.fileSystem.unmap(mine, length: 100)
        #expect(try two.read(at: 8).hasPrefix("abcdefghABCDEFGH"))
    }

    @Test(arguments: Ground.allCases)
    func aMappingOutlivesDescriptorAndName(_ ground: Ground) throws {
        let (directory, name) = try makeFile(ground)
        let base = try unsafe directory.open(name, .readWrite).map(length: 64, isWritable: true)
        let reader = try directory.open(name, .read)
        try directory.unlink(name)
        unsafe base.storeBytes(of: 7, as: UInt64.self)
        #expect(try reader.read().utf8.first == 7)
        unsafe directory.fileSystem.unmap(base, length: 64)
    }

    @Test(arguments: Ground.allCases)
    func whatCannotBeMappedIsAnError(_ ground: Ground) throws {
        let (directory, name) = try makeFile(ground)
        let file = try directory.open(name, .read)
        #expect(try errnoLeft { _ = try unsafe file.map(length: 64, isWritable: true) } == EACCES)
        #expect(try errnoLeft { _ = try unsafe file.map(length: 0, isWritable: false) } == EINVAL)
        #expect(try errnoLeft { _ = try unsafe directory.descriptor.map(length: 64, isWritable: false) } == ENODEV)
    }

    @Test(arguments: Ground.allCases)
    func allocatingChangesNoByte(_ ground: Ground) throws {
        let (directory, name) = try makeFile(ground, size: 100_000)
        let file = try directory.open(name, .readWrite)
        try file.write("x", at: 50_000)
        try file.allocate(length: 100_000)
        #expect(try file.status().size == 100_000)
        #expect(try file.read(at: 49_999).hasPrefix("\0x\0"))
    }

    @Test("what a mapping had before a simulated reboot is no file's any more, and the file keeps its bytes")
    func reboot() throws {
        let (directory, name) = try makeFile(.simulation)
        let fileSystem = try #require(directory.fileSystem as? SimulatedFileSystem)
        let file = try directory.open(name, .readWrite)
        let before = try unsafe file.map(length: 64, isWritable: true)
        unsafe before.storeBytes(of: 1, as: UInt64.self)
        let boot = fileSystem.simulatedBootID
        fileSystem.forgetSharedMemory()
        #expect(fileSystem.simulatedBootID != boot)
        unsafe before.storeBytes(of: 2, as: UInt64.self)
        let after = try unsafe file.map(length: 64, isWritable: true)
        #expect(unsafe word(after, at: 0) == 1)
        unsafe fileSystem.unmap(before, length: 64)
        unsafe fileSystem.unmap(after, length: 64)
    }
}
