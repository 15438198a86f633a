// SPDX-License-Identifier: Apache-2.0
//
// flock(2) and open-file-description locks (fcntl_locking(2)): who shuts out whom, and until when.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory)
struct LockTests {
    static let families: [LockFamily] = [.flock, .openFileDescription]

    private func open(_ directory: OpenDirectory) throws -> Descriptor {
        try directory.open(directory.name("lock"), .readWriteOrCreate(permissions: 0o600))
    }

    /// Whether something becomes so within two minutes.
    ///
    /// While another test starts a process, that has a copy of every descriptor until it executes its program, and a lock
    /// lasts as long as the last copy.
    private func soon(_ condition: () throws -> Bool) throws -> Bool {
        for _ in 0..<120_000 {
            if try condition() { return true }
            usleep(1000)
        }
        return false
    }

    @Test(arguments: Ground.allCases, families)
    func exclusionIsBetweenDescriptions(_ ground: Ground, _ family: LockFamily) throws {
        let directory = try ground.makeDirectory()
        let first = try open(directory)
        let second = try open(directory)
        #expect(try first.tryLock(family, exclusive: true))
        #expect(try first.tryLock(family, exclusive: true), "who has it already gets it")
        #expect(try !second.tryLock(family, exclusive: true))
        #expect(try !second.tryLock(family, exclusive: false))
        try first.close()
        #expect(try soon { try second.tryLock(family, exclusive: true) }, "closing is unlocking")
    }

    @Test(arguments: Ground.allCases, families)
    func sharedLocksGoTogether(_ ground: Ground, _ family: LockFamily) throws {
        let directory = try ground.makeDirectory()
        let first = try open(directory)
        let second = try open(directory)
        let third = try open(directory)
        #expect(try first.tryLock(family, exclusive: false))
        #expect(try second.tryLock(family, exclusive: false))
        #expect(try !third.tryLock(family, exclusive: true))
        try first.fileSystem.unlock(first.rawValue, family)
        #expect(try !third.tryLock(family, exclusive: true))
        try second.fileSystem.unlock(second.rawValue, family)
        #expect(try third.tryLock(family, exclusive: true))
        #expect(try !first.tryLock(family, exclusive: false))
    }

    /// Why a file's family must be agreed upon: each of the two holders believes that it is alone.
    @Test(arguments: Ground.allCases)
    func theFamiliesDoNotSeeEachOther(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let first = try open(directory)
        let second = try open(directory)
        #expect(try first.tryLock(.flock, exclusive: true))
        #expect(try second.tryLock(.openFileDescription, exclusive: true))
        #expect(try !second.tryLock(.flock, exclusive: true))
        #expect(try !first.tryLock(.openFileDescription, exclusive: true))
    }

    /// flock(2) gives the old lock up before it asks for the new one; fcntl(2) keeps it.
    @Test(arguments: Ground.allCases, families)
    func anUpgradeThatFails(_ ground: Ground, _ family: LockFamily) throws {
        let directory = try ground.makeDirectory()
        let first = try open(directory)
        let second = try open(directory)
        #expect(try first.tryLock(family, exclusive: false))
        #expect(try second.tryLock(family, exclusive: false))
        #expect(try !first.tryLock(family, exclusive: true))
        let isLost = try second.tryLock(family, exclusive: true)
        #expect(isLost == (family == .flock))
    }

    @Test(arguments: Ground.allCases)
    func rangesCanBeTested(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let holder = try open(directory)
        let reader = try directory.open(directory.name("lock"), .read)
        func isLocked(_ file: borrowing Descriptor) throws -> Bool { try file.fileSystem.isRangeLocked(file.rawValue) }
        #expect(try !isLocked(reader))
        _ = try holder.tryLock(.flock, exclusive: true)
        #expect(try !isLocked(reader), "it sees its own family alone")
        _ = try holder.tryLock(.openFileDescription, exclusive: false)
        #expect(try isLocked(reader), "a shared lock is in the way of an exclusive one")
        #expect(try !isLocked(holder), "nobody is in one's own way")
        try holder.close()
        #expect(try soon { try !isLocked(reader) })
    }

    @Test(arguments: Ground.allCases, families)
    func aLockIsOnTheFileNotOnItsName(_ ground: Ground, _ family: LockFamily) throws {
        let directory = try ground.makeDirectory()
        let first = try open(directory)
        #expect(try first.tryLock(family, exclusive: true))
        try directory.link(directory.name("lock"), to: directory.name("other"))
        let linked = try directory.open(directory.name("other"), .readWrite)
        #expect(try !linked.tryLock(family, exclusive: true))
        try directory.unlink(directory.name("lock"))
        // The race behind every deleted lock file: two holders, because the name has another file now.
        let second = try open(directory)
        #expect(try second.tryLock(family, exclusive: true))
        #expect(try first.status().identity != second.status().identity)
    }

    @Test(arguments: Ground.allCases)
    func theTableNamesWhoHasItFlocked(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let holder = try open(directory)
        let other = try open(directory)
        let identity = try other.status().identity
        #expect(other.fileSystem.lockHolder(of: identity) == nil)
        _ = try holder.tryLock(.flock, exclusive: true)
        let named = other.fileSystem.lockHolder(of: identity)
        // The table has the superblock's device number: where the file's is another, it names nobody.
        #expect(named == getpid() || (named == nil && ground == .kernel))
        try holder.close()
        #expect(try soon { other.fileSystem.lockHolder(of: identity) == nil })
    }
}
