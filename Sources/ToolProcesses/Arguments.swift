// SPDX-License-Identifier: Apache-2.0
//
// The arguments of this process, as bytes. CommandLine would repair what is not UTF-8, so that a path became another one,
// and on Linux it cannot do without /proc.

internal import Holdfast
internal import _HoldfastCShims

/// What this process was started with.
package enum ProcessArguments {
    /// The arguments without the program's name; a byte that is not UTF-8 stands in them as in a ``FileName``.
    package static var all: [String] {
        var count: Int32 = 0
        let vector = unsafe hf_arguments(&count)
        return (1..<max(1, Int(count))).compactMap { index in
            guard let argument = unsafe vector[index] else { return nil }
            return unsafe String(pathBytes: UnsafeRawBufferPointer(start: argument, count: strlen(argument)))
        }
    }

    /// The last arguments as they came, ended by a null pointer, for execve(2).
    package static func last(_ number: Int) -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> {
        var count: Int32 = 0
        let vector = unsafe hf_arguments(&count)
        return unsafe vector + (Int(count) - number)
    }
}
