// SPDX-License-Identifier: Apache-2.0
//
// Rolling back to the kept previous copy: an ordinary save of its payload, which may also replace a damaged file.

extension ReplaceEngine {
    /// Puts the previous copy's payload in place, with a generation after both.
    ///
    /// `willReplace` is called when it is known that this can be done.
    func restorePrevious(
        _ request: SaveRequest,
        willReplace: () throws(StateError) -> Void
    ) throws(StateError) -> StateCommit {
        let lock = try lock(request.operation, deadline: request.deadline)
        let previousPath = directory.path(of: names.previous)
        guard let opened = try open(names.previous, request.operation) else {
            throw StateError(
                .notFound,
                request.operation,
                path: path,
                detail: "there is no previous copy, \(shown(previousPath))"
            )
        }
        let previous = try read(opened, request.operation)
        try checkFence(request, stored: previous.header.token)
        let metadata = try metadata(of: opened, request.operation)
        let current = try replaceable(request, previous)
        let header = FrameHeader(
            store: previous.header.store,
            generation: try generation(
                after: max(current.generation, previous.header.generation),
                request.operation
            ),
            schema: previous.header.schema,
            token: max(current.token, previous.header.token, request.fence?.value ?? 0),
            length: previous.header.length
        )
        try willReplace()
        let commit = try replace(
            current.target,
            by: previous.payload,
            header,
            request,
            metadata: current.metadata ?? metadata
        )
        try? lock.release()
        return commit
    }

    /// What a restored state has to be later than.
    private struct Superseded {
        /// Nil if there is none, or it is damaged: the good copy must not give way to it.
        var target: TargetState?
        var generation: Generation
        var token: UInt64
        var metadata: FileMetadata?
    }

    /// What stands in the way of the previous copy, be it damaged or absent.
    private func replaceable(
        _ request: SaveRequest,
        _ previous: StoredState
    ) throws(StateError) -> Superseded {
        guard let opened = try open(names.state, request.operation) else {
            return Superseded(generation: .absent, token: 0)
        }
        let current: StoredState
        do throws(StateError) {
            current = try read(opened, request.operation)
        } catch  where error.isDamage {
            return try damaged(opened, previous, request.operation)
        }
        guard current.header.store == previous.header.store else {
            throw StateError(
                .wrongStore,
                request.operation,
                path: path,
                expected: previous.header.store.value,
                found: current.header.store.value
            )
        }
        try checkFence(request, stored: current.header.token)
        return Superseded(
            target: TargetState(
                header: current.header,
                status: opened.status,
                metadata: try metadata(of: opened, request.operation)
            ),
            generation: current.header.generation,
            token: current.header.token
        )
    }

    private func damaged(
        _ opened: borrowing OpenedState,
        _ previous: StoredState,
        _ operation: StateError.Operation
    ) throws(StateError) -> Superseded {
        // What is left of a damaged header may lie about the token, which would lock everybody out; of its generation
        // only the order matters, and the one after the previous copy's was given away.
        let lost = previous.header.generation.next ?? .absent
        let told = peek(opened)?.header.generation ?? .absent
        let salvaged = told.next == nil ? .absent : told
        return Superseded(
            generation: max(lost, salvaged),
            token: 0,
            metadata: try metadata(of: opened, operation)
        )
    }
}
