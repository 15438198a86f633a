// SPDX-License-Identifier: Apache-2.0
//
// Numbers in fixed columns of text: zero-padded decimal and lower-case hexadecimal, written and read without
// allocating. Reading is strict, so that one value has one spelling and a changed bit is never read as the same value.

extension UnsafeMutableRawBufferPointer {
    /// Writes a number right-aligned over the whole buffer, with leading zeros.
    ///
    /// It must fit.
    package func storeColumn(_ value: UInt64, radix: UInt64) {
        var rest = value
        for index in indices.reversed() {
            let digit = UInt8(rest % radix)
            unsafe self[index] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
            rest /= radix
        }
        precondition(rest == 0, "the number is wider than its column")
    }
}

extension UnsafeRawBufferPointer {
    /// Reads a number that fills the whole buffer, or nil if a byte is no digit or the number exceeds 64 bits.
    package func column(radix: UInt64) -> UInt64? {
        var value: UInt64 = 0
        for index in indices {
            let byte = unsafe self[index]
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
            default: return nil
            }
            guard digit < radix else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: radix)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
            if overflow || carry { return nil }
            value = sum
        }
        return value
    }
}
