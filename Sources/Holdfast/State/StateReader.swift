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
/// It cannot be copied: make one for each thread or task that reads. Not for: a file that somebody replaces by other means
/// than Holdfast, which a reader of a two-slot file notices at the next save only.
public struct StateReader<Value>: ~Copyable {
    private let file: StateFile<Value>
    private var word: UInt64 = 0
    private var published: SharedMemoryMutex?
    private var last: (value: Value, report: LoadReport, frame: SealedHeader)?

    init(_ file: StateFile<Value>) {
        self.file = file
    }

    /// The state.
    ///
    /// Blocking if it changed: as ``StateFile/load(orPrevious:durable:)``.
    ///
    /// - Returns: The value, as any load would at this moment.
    /// - Throws: ``StateError`` as ``StateFile/load(orPrevious:durable:)``.
    public mutating func read() throws(StateError) -> Value {
        // 0 is never kept: it says that nothing is known, also in a forked child.
        if let published, word != 0, published.published == word, let last { return last.value }
        return try readWithReport().value
    }

    /// The state, and where it came from.
    ///
    /// Costs what ``read()`` does.
    ///
    /// - Returns: The value and the report of the load that read it.
    /// - Throws: ``StateError`` as ``read()``.
    public mutating func readWithReport() throws(StateError) -> (value: Value, report: LoadReport) {
        if let published, word != 0, published.published == word, let last { return (last.value, last.report) }
        if let last, last.report.strategy == .replace, file.engine.files.isStill(last.frame) {
            return (last.value, last.report)
        }
        word = 0
        let loaded = try file.engine.load(.loading, orPrevious: false, durable: false)
        let (value, report) = try file.decoded(loaded)
        last = (value, report, loaded.state.frame)
        // Only what was read in full is kept for the word that tells of it.
        if loaded.strategy == .twoSlot, loaded.rejected == nil, let sidecar = try? file.engine.slots.sidecar() {
            let word = sidecar.published
            if PublishedState(word: word)?.generation == loaded.state.header.generation {
                published = sidecar.mutex
                self.word = word
            }
        }
        return (value, report)
    }
}

extension StateFile {
    /// A reader of this state, which has read nothing yet.
    public func reader() -> StateReader<Value> { StateReader(self) }
}
