// SPDX-License-Identifier: Apache-2.0
//
// Everything of Holdfast that must survive crashes, by name.

internal import Holdfast
package import HoldfastTesting

/// Something that is to survive every crash.
package struct CrashWorkload: Sendable {
    package let name: String
    /// Whether payloads of other lengths make another workload.
    package let hasPayload: Bool
    package let explore: @Sendable (CrashExplorer) throws -> CrashReport

    private init(
        _ name: String,
        hasPayload: Bool = false,
        _ explore: @escaping @Sendable (CrashExplorer) throws -> CrashReport
    ) {
        self.name = name
        self.hasPayload = hasPayload
        self.explore = explore
    }

    private init(_ name: String, _ state: StateWorkload) {
        self.init(name, hasPayload: true) { try state.explore($0) }
    }
}

extension CrashWorkload {
    /// All of them, with payloads of so many bytes.
    package static func all(length: Int) -> [CrashWorkload] {
        replacements(length) + twoSlots(length) + locks + arenas
    }

    private static var failingDirectory: FaultPlan {
        .failEvery(with: 5, times: 1) { $0.function == "fsync" && $0.isOnDirectory }
    }

    /// Saves by a rename.
    private static func replacements(_ length: Int) -> [CrashWorkload] {
        let keeping = StateOptions(keepsPrevious: true)
        let unflushed = StateOptions(durability: .processCrash)
        return [
            CrashWorkload("save/first", StateWorkload(steps: [.save(length)])),
            CrashWorkload("save/overwrite", StateWorkload(before: [.save(length)], steps: [.save(length / 2)])),
            CrashWorkload(
                "save/growth",
                StateWorkload(before: [.save(20)], steps: [.save(length), .save(2 * length)])
            ),
            CrashWorkload(
                "save/conditions",
                StateWorkload(before: [.save(20)], steps: [.saveOnCondition(length), .saveOnCondition(length)])
            ),
            CrashWorkload("save/update", StateWorkload(steps: [.update(length), .update(length)])),
            CrashWorkload("save/orphan", StateWorkload(before: [.save(20)], steps: [.save(length)], hasOrphan: true)),
            CrashWorkload(
                "save/keep-previous",
                StateWorkload(options: keeping, before: [.save(20)], steps: [.save(length), .save(20), .save(length)])
            ),
            CrashWorkload(
                "save/unflushed",
                StateWorkload(options: unflushed, before: [.save(20)], steps: [.save(length), .save(length)])
            ),
            CrashWorkload(
                "save/failed-flush",
                StateWorkload(
                    before: [.save(20)],
                    steps: [.save(length), .save(length)],
                    faults: .failEvery(with: 5, times: 1) { $0.function == "fsync" && !$0.isOnDirectory }
                )
            ),
            CrashWorkload(
                "save/failed-directory-flush",
                StateWorkload(
                    before: [.save(20)],
                    steps: [.save(length), .save(length)],
                    faults: failingDirectory,
                    reliesOnLoads: false
                )
            ),
            CrashWorkload(
                "restore/sound",
                StateWorkload(options: keeping, before: [.save(length), .save(20)], steps: [.restorePrevious])
            ),
            CrashWorkload(
                "restore/damaged",
                StateWorkload(
                    options: keeping,
                    before: [.save(length), .save(20)],
                    steps: [.restorePrevious],
                    isDamaged: true
                )
            ),
        ]
    }

    /// Saves in place, and files that become of that kind or are it no more.
    private static func twoSlots(_ length: Int) -> [CrashWorkload] {
        let options = StateOptions(strategy: .twoSlot)
        let unflushed = StateOptions(strategy: .twoSlot, durability: .processCrash)
        // A file that grows has no state before the last one.
        let roomy = StateOptions(strategy: .twoSlot, capacity: max(length, 4096))
        let two: [StateStep] = [.save(20), .save(length)]
        func failing(_ flush: Int) -> FaultPlan {
            .failEvery(with: 5, after: flush - 1, times: 1) { $0.function == "fdatasync" }
        }
        return [
            CrashWorkload("two-slot/first", StateWorkload(options: options, steps: two)),
            CrashWorkload(
                "two-slot/overwrite",
                StateWorkload(options: options, before: two, steps: [.save(length), .save(20), .save(length / 2)])
            ),
            CrashWorkload(
                "two-slot/after-reboot",
                StateWorkload(options: options, before: two, steps: [.save(length), .save(20)], isRebooted: true)
            ),
            CrashWorkload(
                "two-slot/update",
                StateWorkload(options: options, before: two, steps: [.update(length), .saveOnCondition(length)])
            ),
            CrashWorkload(
                "two-slot/growth",
                StateWorkload(options: options, before: two, steps: [.save(4000 + length), .save(20)])
            ),
            CrashWorkload(
                "two-slot/keep-previous",
                StateWorkload(
                    options: StateOptions(keepsPrevious: true),
                    before: two,
                    steps: [.convert(.twoSlot, length), .save(20), .convert(.replace, length), .save(20)]
                )
            ),
            CrashWorkload(
                "two-slot/unflushed",
                StateWorkload(
                    options: unflushed,
                    before: [.save(20)],
                    steps: [.save(length), .save(20), .save(length)]
                )
            ),
            CrashWorkload(
                "two-slot/over-unflushed",
                StateWorkload(
                    options: options,
                    before: [.save(20)],
                    steps: [.saveUnflushed(length), .save(length), .saveUnflushed(20), .save(20)]
                )
            ),
            CrashWorkload(
                "two-slot/failed-directory-flush",
                StateWorkload(
                    options: options,
                    steps: [.save(length), .save(20), .save(length)],
                    faults: failingDirectory,
                    reliesOnLoads: false
                )
            ),
            CrashWorkload(
                "two-slot/failed-directory-flush-over-unflushed",
                StateWorkload(
                    options: options,
                    steps: [.saveUnflushed(20), .save(length), .save(20)],
                    faults: failingDirectory,
                    reliesOnLoads: false
                )
            ),
            CrashWorkload(
                "two-slot/made-of-plain",
                StateWorkload(before: two, steps: [.convert(.twoSlot, length), .save(length)])
            ),
            CrashWorkload(
                "two-slot/made-plain",
                StateWorkload(before: [.convert(.twoSlot, 20)], steps: [.convert(.replace, length), .save(length)])
            ),
            CrashWorkload(
                "two-slot/restore",
                StateWorkload(options: roomy, before: two, steps: [.restorePrevious, .save(length)])
            ),
            CrashWorkload(
                "two-slot/restore-damaged",
                StateWorkload(options: roomy, before: two, steps: [.restorePrevious, .save(20)], isDamaged: true)
            ),
        ]
            + (1...3).map { flush in
                // The flush of a save, of the next one, or of what the load after it writes again.
                CrashWorkload(
                    "two-slot/failed-flush-\(flush)",
                    StateWorkload(
                        options: options,
                        before: two,
                        steps: [.save(length), .save(20), .save(length)],
                        faults: failing(flush)
                    )
                )
            } + [
                CrashWorkload(
                    "two-slot/failed-flushes",
                    StateWorkload(
                        options: options,
                        before: two,
                        steps: [.save(length), .save(20), .save(length)],
                        faults: failing(1).and(failing(2))
                    )
                )
            ]
    }

    private static var arenas: [CrashWorkload] {
        ArenaWorkload.allCases.map { arena in CrashWorkload("arena/\(arena.rawValue)") { try arena.explore($0) } }
    }

    private static var locks: [CrashWorkload] {
        [
            CrashWorkload("tokens/first") { try TokenWorkload(before: 0, blocks: 2).explore($0) },
            CrashWorkload("tokens/later") { try TokenWorkload(before: 2, blocks: 3).explore($0) },
            CrashWorkload("tokens/failed-flush-of-new") {
                try TokenWorkload(before: 0, blocks: 3, failingFlush: 1, mayDieUntold: true).explore($0)
            },
            CrashWorkload("tokens/failed-flush-of-read") {
                try TokenWorkload(before: 2, blocks: 3, failingFlush: 1, mayDieUntold: true).explore($0)
            },
            CrashWorkload("tokens/failed-flush-of-mark") {
                try TokenWorkload(before: 2, blocks: 3, failingFlush: 2, mayDieUntold: true).explore($0)
            },
            CrashWorkload("pid-file/publication") { try PIDFileWorkload.publication.explore($0) },
            CrashWorkload("pid-file/named-publication") { try PIDFileWorkload.namedPublication.explore($0) },
            CrashWorkload("pid-file/adoption") { try PIDFileWorkload.adoption.explore($0) },
            CrashWorkload("pid-file/adoption-of-bare-pid") { try PIDFileWorkload.adoptionOfBarePID.explore($0) },
            CrashWorkload("pid-file/cleanup") { try PIDFileWorkload.cleanup.explore($0) },
        ]
    }
}
