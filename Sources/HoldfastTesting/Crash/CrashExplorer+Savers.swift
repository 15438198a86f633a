// SPDX-License-Identifier: Apache-2.0
//
// The exploration for the commonest program: one that saves one value after another and loads the last.

/// What a saver did, as a note.
enum SaverNote: Hashable, Sendable {
    /// A save of the value with this index began.
    case began(Int)
    /// It returned.
    case saved(Int)

    var isPromise: Bool {
        if case .saved = self { true } else { false }
    }
}

extension CrashExplorer {
    /// Crashes a saver everywhere: after every crash the load must return the value that was saved last, or one whose save had
    /// begun.
    ///
    /// Each save promises, by returning, that its value survives a power cut. One that throws, perhaps because of a fault plan,
    /// promises nothing: its value may be there or not. A load that throws finds the violation
    /// ``CrashViolation/Kind/unreadable``; one that returns another value than it may, or nil where one was saved,
    /// ``CrashViolation/Kind/lost`` or ``CrashViolation/Kind/neverSaved``.
    ///
    /// - Parameters:
    ///   - values: Saved in this order, and different from each other. At least one.
    ///   - save: Saves a value and returns when it is durable.
    ///   - load: Returns the value that is there, nil if there is none. It may repair.
    /// - Returns: What was tried and what was wrong.
    /// - Throws: What the saves throw, if all of them do.
    public func explore<Value: Equatable>(
        saving values: [Value],
        save: (SimulatedFileSystem, Value) throws -> Void,
        load: (SimulatedFileSystem) throws -> Value?
    ) throws -> CrashReport {
        precondition(!values.isEmpty, "a saver of nothing has nothing to lose")
        return try explore { (run: CrashRun<SaverNote>) in
            var failure: (any Error)?
            for (index, value) in values.enumerated() {
                run.note(.began(index))
                do {
                    try save(run.fileSystem, value)
                    run.note(.saved(index))
                } catch {
                    failure = error
                }
            }
            if let failure, !run.notes.contains(where: \.isPromise) { throw failure }
        } recovery: { run in
            let found: Value?
            do {
                found = try load(run.fileSystem)
            } catch {
                throw CrashViolation(.unreadable, "the load throws \(error)")
            }
            try Self.judge(found, of: values, run.notes)
        }
    }

    private static func judge<Value: Equatable>(
        _ found: Value?,
        of values: [Value],
        _ notes: [SaverNote]
    ) throws(CrashViolation) {
        var (began, saved): (Int?, Int?)
        for note in notes {
            switch note {
            case .began(let index): began = index
            case .saved(let index): saved = index
            }
        }
        let promised = saved.map { "\(String(reflecting: values[$0])) was saved" } ?? "nothing was saved yet"
        guard let found else {
            if saved == nil { return }
            throw CrashViolation(.lost, "nothing is there, and \(promised)")
        }
        guard let index = values.firstIndex(of: found) else {
            throw CrashViolation(.neverSaved, "\(String(reflecting: found)) is there, which was never saved")
        }
        if index < saved ?? 0 {
            throw CrashViolation(.lost, "\(String(reflecting: found)) is there, and \(promised)")
        }
        if index > began ?? -1 {
            throw CrashViolation(.neverSaved, "\(String(reflecting: found)) is there, whose save had not begun")
        }
    }
}
