// SPDX-License-Identifier: Apache-2.0
//
// The values of a state over time. It looks at the state again and again, so no event can be missed: what somebody saves
// between two looks is seen at the next one, or was replaced by then.

/// The value of a state with its generation, and each later one that is there when it looks: ``StateFile/values``.
///
/// Every save of any process is seen within a twentieth of a second, if it is not replaced before. The last one is never
/// missed. If there is no state it waits for the first one. The sequence ends when its task is cancelled, and throws what
/// a load throws.
///
/// Cost: while the state does not change, twenty looks per second, each a load from memory for a two-slot file, and four
/// system calls for one of the other strategy.
public struct StateValues<Value: Sendable>: AsyncSequence, Sendable {
    /// The values.
    public typealias Element = StateSnapshot<Value>
    /// What a load throws.
    public typealias Failure = StateError

    let file: StateFile<Value>

    /// Iterates over the values.
    public struct Iterator: AsyncIteratorProtocol {
        private static var shortestPause: Duration { .milliseconds(1) }
        private static var longestPause: Duration { .milliseconds(50) }

        private let file: StateFile<Value>
        private var seen: (word: UInt64, frame: SealedHeader)?

        init(_ file: StateFile<Value>) {
            self.file = file
        }

        /// The next value; nil once the task is cancelled.
        public mutating func next() async throws(StateError) -> StateSnapshot<Value>? {
            try await next(isolation: #isolation)
        }

        /// The next value; nil once the task is cancelled.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(StateError) -> StateSnapshot<
            Value
        >? {
            var pause = Self.shortestPause
            while !Task.isCancelled {
                if let snapshot = try await look() { return snapshot }
                do {
                    try await Task.sleep(for: pause)
                } catch {
                    return nil
                }
                pause = Swift.min(pause * 2, Self.longestPause)
            }
            return nil
        }

        /// The state, if it is another one than the last.
        private mutating func look() async throws(StateError) -> StateSnapshot<Value>? {
            let word = file.engine.slots.sureWord?.word ?? 0
            if word != 0, seen?.word == word { return nil }
            let frame = word == 0 ? seen?.frame : nil
            let engine = file.engine
            let loaded: LoadedState?
            do throws(StateError) {
                loaded = try await engine.awaited(.loading) { () throws(StateError) in try engine.load(unless: frame) }
            } catch {
                guard error.code == .notFound else { throw error }
                return nil
            }
            guard let loaded else { return nil }
            let isNew = seen?.frame != loaded.state.frame
            let isOfWord = PublishedState(word: word)?.generation == loaded.state.header.generation
            seen = (isOfWord ? word : 0, loaded.state.frame)
            guard isNew else { return nil }
            let (value, report) = try file.decoded(loaded)
            return StateSnapshot(value, report)
        }
    }

    /// Begins with the present value.
    public func makeAsyncIterator() -> Iterator { Iterator(file) }
}

extension StateFile {
    /// The present value and every later one that it sees, of this process and of others.
    public var values: StateValues<Value> { StateValues(file: self) }
}
