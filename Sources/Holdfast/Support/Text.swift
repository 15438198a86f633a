// SPDX-License-Identifier: Apache-2.0
//
// Numbers, times and foreign texts as messages and names spell them.

internal import _HoldfastCShims

/// 16 lower-case digits.
package func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
}

/// A time in milliseconds since 1970, spelt `2026-02-03T04:05:06Z`.
///
/// strftime(3) knows the calendar; this library does not.
package func utcTime(_ milliseconds: UInt64) -> String {
    utcTime(seconds: Int64(milliseconds / 1000))
}

/// A time in seconds since 1970, spelt in the same way.
func utcTime(seconds: Int64) -> String {
    guard var time = time_t(exactly: seconds) else { return "an unknown time" }
    var fields = unsafe tm()
    return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
        guard
            let start = text.baseAddress, unsafe gmtime_r(&time, &fields) != nil,
            unsafe strftime(start, text.count, "%Y-%m-%dT%H:%M:%SZ", &fields) > 0
        else { return "an unknown time" }
        return unsafe String(cString: start)
    }
}

/// A text that another program chose, for messages: nothing in it moves a terminal's cursor or begins a line.
func printable(_ text: String) -> String {
    var shown = String.UnicodeScalarView()
    for scalar in text.unicodeScalars { shown.append(scalar.isHarmless ? scalar : "?") }
    return String(shown)
}
