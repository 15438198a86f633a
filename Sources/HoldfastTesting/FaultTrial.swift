// SPDX-License-Identifier: Apache-2.0
//
// One run of the fault loop.

internal import Synchronization

/// One run of the work under test, in which one call goes wrong.
///
/// ``FaultTrials`` makes them.
public final class FaultTrial: Sendable {
    /// A file system of this trial alone, empty at first.
    public let fileSystem = SimulatedFileSystem()
    /// What goes wrong.
    public let fault: Fault
    /// Which call of the work goes wrong, from 1.
    public let call: Int

    /// The calls of the work, once it ended.
    private let record = Mutex<[Call]?>(nil)

    private let limit: Int

    package init(_ fault: Fault, call: Int, limit: Int = 10_000) {
        self.fault = fault
        self.call = call
        self.limit = limit
    }

    /// Runs the work under test; what comes before and after it goes well.
    ///
    /// - Parameter work: Called once.
    /// - Returns: What it returned or threw.
    public func run<Output: ~Copyable, Failure: Error>(
        _ work: () throws(Failure) -> Output
    ) -> Result<Output, Failure> {
        begin()
        defer { end() }
        do throws(Failure) {
            return .success(try work())
        } catch {
            return .failure(error)
        }
    }

    /// Runs asynchronous work under test; what comes before and after it goes well.
    ///
    /// - Parameter work: Called once.
    /// - Returns: What it returned or threw.
    public func run<Output: ~Copyable, Failure: Error>(
        _ work: () async throws(Failure) -> Output
    ) async -> Result<Output, Failure> {
        begin()
        defer { end() }
        do throws(Failure) {
            return .success(try await work())
        } catch {
            return .failure(error)
        }
    }

    private func begin() {
        precondition(!hasRun, "a fault trial runs its work once")
        fileSystem.resetCalls()
        fileSystem.faults = .inject(fault, call: call)
        fileSystem.withState { $0.callLimit = limit }
    }

    private func end() {
        fileSystem.faults = .none
        fileSystem.withState { $0.callLimit = .max }
        let calls = fileSystem.calls
        record.withLock { $0 = calls }
    }
}

extension FaultTrial {
    /// The calls that the work made; none before it ran.
    public var calls: [Call] {
        record.withLock { $0 ?? [] }
    }

    /// The call that went wrong first.
    ///
    /// Nil if none did: the work made no so many calls, or the fault cannot befall the call, as a short write a rename.
    public var faultedCall: Call? {
        calls.first(where: \.isFaulted)
    }

    var hasRun: Bool {
        record.withLock { $0 != nil }
    }

    var madeItsCall: Bool {
        calls.count >= call
    }
}

extension FaultTrial: CustomStringConvertible {
    /// Says what went wrong, for messages: `EIO in call 7: fsync(1003) = -1 EIO`.
    public var description: String {
        let outcome = calls.indices.contains(call - 1) ? calls[call - 1].description : "which was not made"
        return "\(fault) in call \(call): \(outcome)"
    }
}
