// SPDX-License-Identifier: Apache-2.0
//
// The conversions of a caller's times: a timeout to an instant, and an instant to a time to sleep. A caller may give any, and
// the arithmetic of instants and durations traps at their ends: here they are compared before anything is added or subtracted.

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

/// The earlier of a deadline and the end of a timeout that begins now; nil if the caller gave neither.
///
/// A negative timeout is over. One of more than a century ends after a century.
func earlier(_ deadline: ContinuousClock.Instant?, _ timeout: Duration?) -> ContinuousClock.Instant? {
    guard let timeout else { return deadline }
    let end = ContinuousClock.now + min(max(timeout, .zero), .seconds(100 * 366 * 86400))
    return deadline.map { min($0, end) } ?? end
}
