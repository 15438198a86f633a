// SPDX-License-Identifier: Apache-2.0
//
// The fault loop: fail the first call, then the second, until a run makes fewer calls than that. It finds the call after
// which something is left behind, however deep it is, without knowing the code under test.

/// One trial after another, in each of which the next call of the same work goes wrong, until all its calls have.
///
/// ```swift
/// for trial in FaultTrials(.failure(EIO), .failure(ENOSPC), .shortWrite(bytes: 1)) {
///     let directory = try trial.fileSystem.directory()
///     try save(1, in: directory)  // prepares: nothing goes wrong yet
///     let outcome = trial.run { try save(2, in: directory) }
///     // What must hold now, whether the call that failed was made or not:
///     switch outcome {
///     case .success: #expect(try load(directory) == 2, "\(trial)")
///     case .failure: #expect(try load(directory) == 1, "\(trial)")
///     }
/// }
/// ```
///
/// Each trial has a file system of its own, so that no failure can hide behind an earlier one. The last trial of each fault
/// is one in which nothing goes wrong, because the work makes no so many calls: it shows that the work comes to its end.
///
/// The work must make the same calls each time up to the one that goes wrong. A trial that does not run ends the process:
/// the loop would test nothing. Its cost is the square of the number of calls, each of some microseconds.
public struct FaultTrials: Sequence, IteratorProtocol {
    private var faults: ArraySlice<Fault>
    private var last: FaultTrial?
    private let limit: Int

    /// Makes the trials of these faults, one fault after the other.
    ///
    /// - Parameters:
    ///   - faults: At least one.
    ///   - limit: More calls than the work makes. Work that makes more, perhaps because it repeats a call forever, ends the
    ///     process.
    public init(_ faults: Fault..., limit: Int = 10_000) {
        self.init(faults, limit: limit)
    }

    /// Makes the trials of these faults, one fault after the other.
    ///
    /// - Parameters:
    ///   - faults: At least one.
    ///   - limit: More calls than the work makes. Work that makes more, perhaps because it repeats a call forever, ends the
    ///     process.
    public init(_ faults: [Fault], limit: Int = 10_000) {
        precondition(!faults.isEmpty, "trials of no fault test nothing")
        self.faults = faults[...]
        self.limit = limit
    }

    /// The next trial: of the next call, or if the last run made no more calls, of the next fault.
    public mutating func next() -> FaultTrial? {
        if let last {
            precondition(last.hasRun, "a fault trial did not run its work")
            if last.madeItsCall {
                self.last = FaultTrial(last.fault, call: last.call + 1, limit: limit)
                return self.last
            }
        }
        last = faults.popFirst().map { FaultTrial($0, call: 1, limit: limit) }
        return last
    }
}
