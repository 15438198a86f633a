// SPDX-License-Identifier: Apache-2.0
//
// What a registry keeps of objects that it must not keep alive.

/// A weak reference, and whose it is.
final class WeakReference<Object: AnyObject & Sendable>: Sendable {
    weak let object: Object?
    /// Tells whose this is without a reference, whose end under the registry's lock might want that lock.
    let id: ObjectIdentifier

    init(_ object: Object) {
        self.object = object
        id = ObjectIdentifier(object)
    }
}
