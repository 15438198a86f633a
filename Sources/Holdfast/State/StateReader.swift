// SPDX-License-Identifier: Apache-2.0
//
// Looking at a state again and again. It keeps what it read last, and the published word of that moment: as long as the word
// stays, so does the state. It belongs to one thread or task, so nothing of it needs a lock.

/// Reads one state many times, at the speed of memory while it does not change.
///
///     var reader = state.reader()
///     while true {
///         serve(with: try reader.read())
///     }
///
/// Of a two-slot file (``StateStrategy/twoSlot``) an unchanged state costs one load of a word that all processes see: no
/// system call, no allocation, no decoding. A save of any process is seen by the first read after it has returned. Of a
/// file of the other strategy each read looks at the file's header, in four system calls.
///
/// It cannot be copied: make one for each thread or task that reads. That the file was replaced by other means than Holdfast, or
/// its arena deleted, a reader of a two-slot file notices within a second.
public struct StateReader<Value: Sendable>: ~Copyable {
    private let file: StateFile<Value>
    /// What was published when the value was read; 0 if the value is not to be returned again.
    @usableFromInline var word: UInt64 = 0
    @usableFromInline var place: PublishedPlace?
    @usableFromInline var value: Value?
    private var last: (report: LoadReport, frame: SealedHeader)?

    init(_ file: StateFile<Value>) {
        self.file = file
    }

    /// The state.
    ///
    /// Blocking if it changed: as ``StateFile/load(orPrevious:durable:)``.
    ///
    /// - Returns: The value, as any load would at this moment.
    /// - Throws: ``StateError`` as ``StateFile/load(orPrevious:durable:)``.
    @inlinable
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    public mutating func read() throws(StateError) -> Value {
        if word != 0, let place, place.current == word, let value { return value }
        return try readAgain()
    }

    /// The state; this task is suspended while a file is read, if it changed.
    ///
    /// - Returns: The value, as any load would at this moment.
    /// - Throws: ``StateError`` as ``StateFile/load(orPrevious:durable:)``.
    @inlinable
    public mutating func read() async throws(StateError) -> Value {
        if word != 0, let place, place.current == word, let value { return value }
        return try await readAgain()
    }

    /// The state, and where it came from.
    ///
    /// Costs what ``read()`` does, and a copy of the report.
    ///
    /// - Returns: The value and the report of the load that read it.
    /// - Throws: ``StateError`` as ``read()``.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    public mutating func readWithReport() throws(StateError) -> (value: Value, report: LoadReport) {
        let value = try read()
        return (value, report)
    }

    /// The state, and where it came from; this task is suspended while a file is read, if it changed.
    ///
    /// - Returns: The value and the report of the load that read it.
    /// - Throws: ``StateError`` as the blocking method of the same name.
    public mutating func readWithReport() async throws(StateError) -> (value: Value, report: LoadReport) {
        let value = try await read()
        return (value, report)
    }

    private var report: LoadReport {
        guard let report = last?.report else { preconditionFailure("a value comes with its report") }
        return report
    }

    @usableFromInline
    mutating func readAgain() throws(StateError) -> Value {
        try keep(file.engine.load(unless: unchangedFrame))
    }

    @usableFromInline
    mutating func readAgain() async throws(StateError) -> Value {
        let (engine, frame) = (file.engine, unchangedFrame)
        return try keep(await engine.awaited(.loading) { () throws(StateError) in try engine.load(unless: frame) })
    }

    /// What the file begins with if its state is the one that was read last, and only a look at the file can tell.
    private var unchangedFrame: SealedHeader? {
        value != nil && last?.report.strategy == .replace ? last?.frame : nil
    }

    /// The value of what was loaded; that of the last time for nil.
    private mutating func keep(_ loaded: LoadedState?) throws(StateError) -> Value {
        guard let loaded else {
            guard let value else { preconditionFailure("what has not changed was read before") }
            return value
        }
        word = 0
        let (value, report) = try file.decoded(loaded)
        self.value = value
        last = (report, loaded.state.frame)
        // Only what is sound is kept for the word that tells of it.
        if loaded.strategy == .twoSlot, loaded.rejected == nil, let (word, place) = file.engine.slots.sureWord,
            PublishedState(word: word)?.generation == loaded.state.header.generation
        {
            self.place = place
            self.word = word
        }
        return value
    }
}

extension StateEngine {
    /// The current state; nil if the file still begins with this frame.
    func load(unless frame: SealedHeader?) throws(StateError) -> LoadedState? {
        if let frame, plain.isStill(frame) { return nil }
        return try load(.loading, orPrevious: false, durable: false)
    }
}

extension StateFile {
    /// A reader of this state, which has read nothing yet.
    public func reader() -> StateReader<Value> { StateReader(self) }
}
