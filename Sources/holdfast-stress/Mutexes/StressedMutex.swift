// SPDX-License-Identifier: Apache-2.0
//
// The mutex under test, and the known-bad one that runs in its place to show that the harness would see a fault.

internal import Holdfast
internal import _HoldfastCShims
internal import _HoldfastStressShims

/// What an acquisition came with.
struct SeenGrant {
    var token: UInt64
    /// The token of the holder that died, if the mutex says that one did.
    var abandoned: UInt64?
}

/// A mutex as threads and tasks use it.
///
/// The section runs while it is held, and may not return. False if it was not had.
protocol StressedMutex: Sendable {
    func attempt(_ chance: Chance, _ section: (SeenGrant) -> Void) throws -> Bool
    func attemptInTask(_ chance: Chance, _ section: (SeenGrant) -> Void) async throws -> Bool
}

/// A mutex of an arena, taken in all the ways that there are.
struct ArenaMutex: StressedMutex {
    let mutex: SharedMemoryMutex

    func attempt(_ chance: Chance, _ section: (SeenGrant) -> Void) throws -> Bool {
        switch chance.below(8) {
        case 0:
            guard case .acquired(let lock) = try mutex.tryLock() else { return false }
            section(SeenGrant(lock))
            try lock.release()
        case 1...2:
            let lock = try mutex.lock()
            section(SeenGrant(lock))
            try lock.release()
        case 3...4:
            try mutex.withLock(deadline: .now + .microseconds(chance.below(5000))) { section(SeenGrant($0)) }
        default:
            try mutex.withLock { section(SeenGrant($0)) }
        }
        return true
    }

    func attemptInTask(_ chance: Chance, _ section: (SeenGrant) -> Void) async throws -> Bool {
        switch chance.below(4) {
        case 0:
            let lock = try await mutex.lock()
            section(SeenGrant(lock))
            try lock.release()
        case 1:
            let deadline = ContinuousClock.now + .microseconds(chance.below(5000))
            try await mutex.withLock(deadline: deadline) { section(SeenGrant($0)) }
        default:
            try await mutex.withLock { section(SeenGrant($0)) }
        }
        return true
    }
}

extension SeenGrant {
    fileprivate init(_ grant: MutexGrant) {
        self.init(token: grant.token.value, abandoned: grant.abandoned?.value)
    }

    fileprivate init(_ lock: borrowing HeldMutex) {
        self.init(token: lock.token.value, abandoned: lock.abandoned?.value)
    }
}

/// The known-bad control, on the same words: who has waited for two milliseconds takes the holder for dead.
struct StealingMutex: StressedMutex {
    private static let patience: Int64 = 2_000_000

    let word: SharedWord
    let owner: UInt32

    func attempt(_ chance: Chance, _ section: (SeenGrant) -> Void) -> Bool {
        var seen = MutexWord(raw: word.load())
        var since = hf_monotonic()
        while true {
            let isFree = seen.holder == .nobody
            let taken = seen.taken(by: owner, waiting: false)
            if isFree || hf_monotonic() - since > Self.patience, word.replace(seen.raw, by: taken.raw) {
                section(SeenGrant(token: token(of: taken), abandoned: isFree ? nil : token(of: seen)))
                word.replace(taken.raw, by: taken.released.raw)
                return true
            }
            hfs_sleep(50_000)
            let now = MutexWord(raw: word.load())
            if now != seen { (seen, since) = (now, hf_monotonic()) }
        }
    }

    func attemptInTask(_ chance: Chance, _ section: (SeenGrant) -> Void) async -> Bool {
        attempt(chance, section)
    }

    private func token(of word: MutexWord) -> UInt64 { 1 << 32 | UInt64(word.count) }
}
