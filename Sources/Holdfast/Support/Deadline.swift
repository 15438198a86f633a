// SPDX-License-Identifier: Apache-2.0
//
// The one conversion of a caller's instant to a time to sleep. A caller may give any instant, and the arithmetic of instants
// and durations traps at their ends: here they are compared before anything is subtracted.

/// How long it is until then in nanoseconds, rounded up, and an hour at most; 0 if it is past.
///
/// A caller that sleeps for it looks again afterwards, so that an instant in the far future is waited for without end.
func nanoseconds(until instant: ContinuousClock.Instant) -> Int64 {
    let now = ContinuousClock.now
    if instant <= now { return 0 }
    if instant >= now + .seconds(3600) { return 3_600_000_000_000 }
    let (seconds, attoseconds) = now.duration(to: instant).components
    return seconds * 1_000_000_000 + (attoseconds + 999_999_999) / 1_000_000_000
}
