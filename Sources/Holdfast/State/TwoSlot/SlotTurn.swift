// SPDX-License-Identifier: Apache-2.0
//
// A turn among the writers of a two-slot file. It ends with the value, which releases the lock.

/// A writer's turn at a two-slot file, or that of a load that has to look at both slots alone.
struct SlotTurn: ~Copyable {
    let file: OpenSlots
    let lock: TwoSlotSidecar.Lock
    /// A load puts up with a file that it cannot write to.
    let isSave: Bool
    /// Whether what the turn finds, or writes, has to be durable at its end.
    let flushes: Bool

    init(_ file: OpenSlots, _ lock: consuming TwoSlotSidecar.Lock, isSave: Bool, flushes: Bool) {
        self.file = file
        self.lock = lock
        self.isSave = isSave
        self.flushes = flushes
        file.beginUse()
    }

    deinit {
        file.endUse()
    }
}

extension TwoSlotFile {
    /// Waits for a save's turn among the writers.
    ///
    /// - Returns: Nil if the name does not lead to a two-slot file, and nothing was done.
    func begin(_ request: SaveRequest) throws(StateFailure) -> SlotTurn? {
        try checkNotLatched()
        // Each turn of the loop after the first needs another process to have replaced the file meanwhile.
        for _ in 0..<1000 {
            guard let file = try lastFile() else { return nil }
            let lock = try lock(deadline: request.deadline, for: file)
            if try isInPlace(file) {
                if let error = file.writingError {
                    // Opened again the next time: the permissions, or the mount, may be others then.
                    forget()
                    throw .system(error)
                }
                if lock.arena == nil { try checkNamed(file) }
                let turn = SlotTurn(file, lock, isSave: true, flushes: request.flushes)
                _ = try enter(turn, deadline: request.deadline)
                return turn
            }
            TwoSlotSidecar.release(lock)
            forget()
        }
        throw .interrupted("another process keeps replacing it")
    }
}
