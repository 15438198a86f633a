// SPDX-License-Identifier: Apache-2.0
//
// What a load found beside the value: nothing that it had to do to get there is silent.

/// Where a loaded state came from.
public struct LoadReport: Sendable {
    /// Which file of the store was read.
    public struct Copy: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case current, previous, older
        }

        private let value: Value

        /// The state file itself.
        public static let current = Copy(value: .current)
        /// The copy that the save before the last one left, `.NAME.previous`.
        public static let previous = Copy(value: .previous)
        /// The sound slot of a two-slot file whose other slot, which may have been the newer one, holds no state:
        /// ``LoadReport/rejected`` says what it holds.
        public static let older = Copy(value: .older)

        /// The name, for example `previous`.
        public var description: String { value.rawValue }
    }

    /// Which copy was used.
    public let copy: Copy
    /// Why the current copy was not used, if ``copy`` is another one.
    public let rejected: StateError?
    /// How the file is kept.
    public let strategy: StateStrategy
    /// The store that it belongs to.
    public let store: StoreID
    /// Which save it is.
    public let generation: Generation
    /// The schema that is stored.
    public let schema: UInt32
    /// The schema from which migrations led to the value; nil if none was needed or the payload was not decoded.
    public let migratedFrom: UInt32?
    /// The largest fencing token that the store was saved with; nil if none ever.
    public let token: FencingToken?
    /// The bytes of the payload as they are stored.
    public let length: Int
}

extension LoadReport {
    init(_ loaded: LoadedState, rejected: StateError?, migratedFrom: UInt32? = nil) {
        let header = loaded.state.header
        self.init(
            copy: loaded.copy,
            rejected: rejected,
            strategy: loaded.strategy,
            store: header.store,
            generation: header.generation,
            schema: header.schema,
            migratedFrom: migratedFrom,
            token: header.fencingToken,
            length: Int(header.length)
        )
    }
}

extension FrameHeader {
    /// The token as callers see it: 0 is none.
    var fencingToken: FencingToken? { token == 0 ? nil : FencingToken(token) }
}
