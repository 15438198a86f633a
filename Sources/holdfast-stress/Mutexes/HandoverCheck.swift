// SPDX-License-Identifier: Apache-2.0
//
// Compares what an acquisition says of its predecessor with what the predecessor wrote, without a hole: tokens follow each
// other without a gap, so the predecessor is known even if it died before it wrote anything.
//
// A holder writes who it is, then its token, as soon as it holds; and that it leaves, right before it releases. So the
// predecessor, whose token is p, has
// - written p and that it leaves: it released, or died in the release; a report of its death has to be true of its process
// - written p and not that it leaves: it died inside, and must be reported
// - not written p: it died before it could, and must be reported. Who it was is not known; the supervisor knows how many
//   contenders died at that point, and there may not be more reports of such deaths (see MutexReport)

internal import Holdfast
internal import _HoldfastStressShims

/// What a token says of the one before it.
private struct TokenOrder {
    /// The token before; nil if there is none, or if the harness has brought the count there.
    let predecessor: UInt64?

    /// `last` is the last token that was written.
    init(_ token: UInt64, last: UInt64) {
        switch UInt32(truncatingIfNeeded: token) {
        case 1:
            // The first of an epoch. The harness uses no epoch up that is new, so the one before has `last`.
            predecessor = last == 0 ? nil : last | UInt64(MutexWord.lastCount)
        case ArenaWords.soonUsedUp + 1: predecessor = nil
        default: predecessor = token - 1
        }
    }
}

extension MutexPage {
    /// Checks one acquisition, and writes down that its holder has the mutex.
    ///
    /// `isGone` waits until a worker has been reaped; false if it goes on living. Returns the worker whose mutex this was,
    /// if it died and is known.
    func checkHandover(
        of mutex: Int,
        to worker: WorkerID,
        _ grant: SeenGrant,
        isGone: (WorkerID) -> Bool
    ) -> WorkerID? {
        let last = lastToken(of: mutex).load()
        let previous = Handover(handover(of: mutex).load())
        var dead: WorkerID?
        if grant.token <= last {
            self[.tokenRegressions].add()
        } else {
            let predecessor = TokenOrder(grant.token, last: last).predecessor
            if let abandoned = grant.abandoned {
                if abandoned != predecessor {
                    self[.falseAbandoned].add()
                } else if abandoned > last {
                    self[.abandoned].add()
                    self[.unknownDead].add()
                } else if isGone(previous.worker) {
                    self[.abandoned].add()
                    dead = previous.worker
                } else {
                    self[.falseAbandoned].add()
                }
            } else if last != (predecessor ?? last) || (last != 0 && !previous.isLeaving) {
                self[.missedAbandoned].add()
            }
        }
        // In this order: who dies in between has written a name without a token, which nobody looks at.
        handover(of: mutex).store(Handover(worker: worker, isLeaving: false).raw)
        lastToken(of: mutex).store(grant.token)
        return dead
    }
}
