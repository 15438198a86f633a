// SPDX-License-Identifier: Apache-2.0
//
// A crash in words: the calls before it that changed or flushed something, and what became of each change.

internal import Holdfast

/// In place of a call's number.
private enum CrashTrace {
    static let store = -2
}

extension Crash {
    /// One line for each call and note up to the crash, and for the crash itself; those of earlier crashes first.
    var trace: [String] {
        var lines = scene.crashes == [.power] ? scene.origin?.trace ?? [] : []
        let graph = scene.graph
        let end = kind == .power ? lastThatMatters : position
        var node = 0
        var line: (call: Int, text: String, fates: [String])?
        func flushLine() {
            if let line { lines.append(([line.text] + line.fates).joined(separator: " – ")) }
            line = nil
        }
        for (index, event) in graph.log.events[..<end].enumerated() {
            if scene.crashes == [.process], index == scene.start {
                flushLine()
                lines.append(CrashKind.process.sentence)
            }
            if let call = event.call, line?.call != call {
                flushLine()
                line = (call, graph.log.calls[call].words, [])
            }
            switch event {
            case .change(.birth, _), .flush: break
            case .change(let change, let call):
                if call == nil, !change.isWord || line?.call != CrashTrace.store {
                    flushLine()
                    line = change.isWord ? (CrashTrace.store, "stored in memory", []) : (-1, "somebody else", [])
                }
                line?.fates.append("\(change.words(graph.log.sectorSize)): \(outcomes[node].words)")
                node += 1
            case .failedFlush: line?.fates.append("what was not on the device then never gets there by itself")
            case .note(let number):
                flushLine()
                lines.append("noted: \(scene.notes[number])")
            }
        }
        flushLine()
        return lines + [kind.sentence]
    }

    /// The position after the last event that the state shows: all later ones are as if they had not been.
    private var lastThatMatters: Int {
        let nodes = scene.graph.nodes
        let kept = outcomes.indices.last { outcomes[$0] != .lost }.map { nodes[$0].position + 1 } ?? 0
        let other = scene.graph.log.events[..<position].lastIndex { event in
            if case .change = event { false } else { true }
        }
        return max(kept, other.map { $0 + 1 } ?? 0, scene.start)
    }
}

extension CrashKind {
    fileprivate var sentence: String {
        switch self {
        case .process: "The program dies."
        case .power: "The power fails."
        }
    }
}

extension ChangeLog.Event {
    fileprivate var call: Int? {
        switch self {
        case .change(_, let call), .flush(_, _, let call), .failedFlush(_, let call): call
        case .note: nil
        }
    }
}

extension Call {
    /// The call with the path, where only its descriptor would tell the file.
    fileprivate var words: String {
        guard name == nil, let path else { return description }
        return "\(description) of \(path)"
    }
}

extension Outcome {
    fileprivate var words: String {
        switch self {
        case .lost: "LOST"
        case .kept: "kept"
        case .zeros: "ZEROS"
        case .garbage: "GARBAGE"
        }
    }
}

extension Change {
    fileprivate func words(_ sectorSize: Int) -> String {
        switch self {
        case .birth: return "a file"
        case .sector(_, let sector, let bytes):
            let first = sector * sectorSize
            return "bytes \(first)..<\(first + bytes.count)"
        case .word(_, let store, _): return "word \(hexadecimal(store.value)) at \(store.offset)"
        case .size(_, let old, let new): return "size \(old) to \(new)"
        case .owner: return "mode and owner"
        case .attribute(_, let name, _): return "attribute \(name)"
        case .entries(_, let entries, _, _):
            return entries.sorted { $0.key < $1.key }
                .map { $0.value == nil ? "no \($0.key)" : "\($0.key)" }
                .joined(separator: ", ")
        }
    }
}
