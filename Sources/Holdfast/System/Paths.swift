// SPDX-License-Identifier: Apache-2.0
//
// Strings as C strings and buffers on the stack, with typed errors: the standard library's own still have `rethrows`.

internal import _HoldfastCShims

extension String {
    /// Calls the body with this string as a C string, in which stand-ins are the bytes that they stand for.
    @inline(__always)
    package func withPath<Result, Failure: Error>(
        _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let result: Swift.Result<Result, Failure> = unsafe withCString { path in
            do throws(Failure) {
                if unsafe strchr(path, Int32(Self.standInStart)) != nil {
                    return .success(try unsafe withRawPath(body))
                }
                return .success(try unsafe body(path))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    @inline(never)
    private func withRawPath<Result, Failure: Error>(
        _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let bytes = pathBytes.map { CChar(bitPattern: $0) } + [0]
        let result: Swift.Result<Result, Failure> = unsafe bytes.withUnsafeBufferPointer { bytes in
            guard let path = bytes.baseAddress else { preconditionFailure("it holds a NUL at least") }
            do throws(Failure) {
                return .success(try unsafe body(path))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }
}

/// Calls the body with two strings as C strings.
@inline(__always)
package func withPaths<Result, Failure: Error>(
    _ first: String,
    _ second: String,
    _ body: (UnsafePointer<CChar>, UnsafePointer<CChar>) throws(Failure) -> Result
) throws(Failure) -> Result {
    try unsafe first.withPath { first throws(Failure) in
        try unsafe second.withPath { second throws(Failure) in
            try unsafe body(first, second)
        }
    }
}

/// Calls the body with `count` bytes, uninitialised, on the stack if they are few.
@inline(__always)
package func withBuffer<Result, Failure: Error>(
    _ count: Int,
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
) throws(Failure) -> Result {
    let result: Swift.Result<Result, Failure> = unsafe withUnsafeTemporaryAllocation(byteCount: count, alignment: 16) {
        bytes in
        do throws(Failure) {
            return .success(try unsafe body(bytes))
        } catch {
            return .failure(error)
        }
    }
    return try result.get()
}
