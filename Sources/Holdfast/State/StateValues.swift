// SPDX-License-Identifier: Apache-2.0
//
// The values of a state over time. It looks at the state again and again, so no event can be missed: what somebody saves
// between two looks is seen at the next one, or was replaced by then.

/// The value of a state, and each later one that is there when it looks: ``StateFile/values``.
///
/// Every save of any process is seen within a twentieth of a second, if it is not replaced before. The last one is never
/// missed. If there is no state it waits for the first one. The sequence ends when its task is cancelled, and throws what
/// a load throws.
///
/// Cost: while the state does not change, twenty looks per second, each a load from memory for a two-slot file, and four
/// system calls for one of the other strategy.
public struct StateValues<Value: Sendable>: AsyncSequence, Sendable {
    /// The values.
    public typealias Element = Value
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
        public mutating func next() async throws(StateError) -> Value? {
            try await next(isolation: #isolation)
        }

        /// The next value; nil once the task is cancelled.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws(StateError) -> Value? {
            var pause = Self.shortestPause
            while !Task.isCancelled {
                if let value = try look() { return value }
                do {
                    try await Task.sleep(for: pause)
                } catch {
                    return nil
                }
                pause = Swift.min(pause * 2, Self.longestPause)
            }
            return nil
        }

        /// The value, if it is another one than the last.
        private mutating func look() throws(StateError) -> Value? {
            let word = file.engine.slots.sureWord?.word ?? 0
            if let seen {
                if word != 0, seen.word == word { return nil }
                if word == 0, file.engine.plain.isStill(seen.frame) { return nil }
            }
            let loaded: LoadedState
            do throws(StateError) {
                loaded = try file.engine.load(.loading, orPrevious: false, durable: false)
            } catch  where error.code == .notFound {
                return nil
            }
            let header = loaded.state.header
            let isNew = seen?.frame != loaded.state.frame
            let isOfWord = PublishedState(word: word)?.generation == header.generation
            seen = (isOfWord ? word : 0, loaded.state.frame)
            return isNew ? try file.decoded(loaded).value : nil
        }
    }

    /// Begins with the present value.
    public func makeAsyncIterator() -> Iterator { Iterator(file) }
}

extension StateFile where Value: Sendable {
    /// The present value and every later one that it sees, of this process and of others.
    public var values: StateValues<Value> { StateValues(file: self) }
}
