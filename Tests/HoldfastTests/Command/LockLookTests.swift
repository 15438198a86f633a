// SPDX-License-Identifier: Apache-2.0
//
// `lock status` and `lock clean`.

import Foundation
import Testing

@Suite(.temporaryDirectory)
struct LockLookTests {
    private let tool = CommandLineTool.holdfastctl
    private var directory: String { TemporaryDirectory.current }
    private var path: String { "\(directory)/a.lock" }

    private func write(_ name: String, _ text: String) throws {
        try text.write(toFile: "\(directory)/\(name)", atomically: false, encoding: .utf8)
    }

    // MARK: status

    @Test func tellsThatThereIsNone() async throws {
        let outcome = try await tool.run("lock", "status", "--json", path)
        #expect(outcome.status == 66)
        #expect(outcome.output.isEmpty)
        #expect(outcome.isOneSentence)
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func tellsFreeFromHeld() async throws {
        let holder = try await Holder(path)
        let held = try await tool.run("lock", "status", "--json", path)
        #expect(held.status == 0)
        let object = try held.object()
        #expect(Set(object.keys) == ["path", "pathBytes", "state", "pid", "label", "since", "token", "reason"])
        #expect(object["path"] as? String == path)
        #expect(object["state"] as? String == "held")
        #expect(object["pid"] as? Int32 == holder.process.pid)
        #expect(try await tool.run("lock", "status", path).output.hasPrefix("\(path): held by process "))

        holder.process.send(SIGTERM)
        _ = try await holder.process.outcome()
        let free = try await tool.run("lock", "status", "--json", path).object()
        #expect(free["state"] as? String == "free")
        #expect(free["pid"] is NSNull)
    }

    @Test func tellsThatItCannotTell() async throws {
        try write("a.lock", "no lock file\n")
        let outcome = try await tool.run("lock", "status", "--json", path)
        #expect(outcome.status == 0)
        #expect(try outcome.object()["state"] as? String == "unknown")
        #expect(try outcome.object()["reason"] is String)
    }

    @Test func doesNotLookThroughASymbolicLink() async throws {
        try write("target", "1\n")
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "target")
        #expect(try await tool.run("lock", "status", path).status == 77)
    }

    @Test(arguments: ["status", "clean"])
    func refusesAPathWithoutAName(command: String) async throws {
        let outcome = try await tool.run("lock", command, "")
        #expect(outcome.status == 64)
        #expect(outcome.isOneSentence)
    }

    // MARK: clean

    @Test func removesWhatIsDeadAndNothingElse() async throws {
        let dead = Processes.deadPID
        try write("dead.lock", "\(dead)\n")
        try write("alive.lock", "\(getpid())\n")
        try write("other.lock", "not a lock file\n")
        try write("dead.pid", "\(dead)\n")
        try write("dead.text", "\(dead)\n")
        try write(".hidden.lock", "\(dead)\n")
        try FileManager.default.createSymbolicLink(atPath: "\(directory)/link.lock", withDestinationPath: "dead.text")
        let holder = try await Holder("\(directory)/held.lock")
        #expect(try await tool.run("lock", "run", "\(directory)/free.lock", "--", "true").status == 0)

        let outcome = try await tool.run("lock", "clean", "--json", directory, "\(directory)/absent.lock")
        #expect(outcome.status == 77)
        let objects = try outcome.objects()
        #expect(objects.allSatisfy { Set($0.keys) == ["path", "pathBytes", "outcome", "pid", "reason"] })
        let found = objects.map { object in
            let path = object["path"] as? String ?? ""
            return "\(path.dropFirst(directory.count + 1)) \(object["outcome"] ?? "")"
        }
        #expect(
            found == [
                "alive.lock alive", "dead.lock removed", "dead.pid removed", "free.lock free", "held.lock alive",
                "link.lock refused",
                "other.lock refused", "absent.lock absent",
            ]
        )
        #expect(objects.first { $0["outcome"] as? String == "removed" }?["pid"] as? Int32 == dead)
        for (name, isKept) in [
            ("dead.lock", false), ("alive.lock", true), ("other.lock", true), ("dead.pid", false),
            ("dead.text", true),
            (".hidden.lock", true), ("link.lock", true), ("held.lock", true), ("free.lock", true),
        ] {
            let attributes = try? FileManager.default.attributesOfItem(atPath: "\(directory)/\(name)")
            #expect((attributes != nil) == isKept, "\(name)")
        }
        withExtendedLifetime(holder) {}
    }

    @Test func cleansAFileOfAnyNameThatIsNamed() async throws {
        try write("service.pid", "\(Processes.deadPID)\n")
        let outcome = try await tool.run("lock", "clean", "\(directory)/service.pid")
        #expect(outcome.status == 0)
        #expect(outcome.output.hasPrefix("\(directory)/service.pid: removed ("))
    }

    @Test func succeedsWhateverItFinds() async throws {
        try write("alive.lock", "\(getpid())\n")
        #expect(try await tool.run("lock", "clean", "\(directory)/alive.lock").status == 0)
        #expect(try await tool.run("lock", "clean", "\(directory)/absent.lock").status == 0)
        #expect(try await tool.run("lock", "clean", "\(directory)/absent/absent.lock").status == 0)
    }

    @Test func doesNotEnterADirectoryThroughALink() async throws {
        let files = FileManager.default
        try files.createDirectory(atPath: "\(directory)/real", withIntermediateDirectories: false)
        try write("real/dead.lock", "\(Processes.deadPID)\n")
        try files.createSymbolicLink(atPath: "\(directory)/link", withDestinationPath: "real")
        for path in ["\(directory)/link", "\(directory)/link/"] {
            #expect(try await tool.run("lock", "clean", path).status == 77)
        }
        #expect(files.fileExists(atPath: "\(directory)/real/dead.lock"))
        // A link on the way there is the caller's own choice.
        #expect(try await tool.run("lock", "clean", "\(directory)/link/dead.lock").status == 0)
        #expect(!files.fileExists(atPath: "\(directory)/real/dead.lock"))
    }

    @Test func needsAPath() async throws {
        #expect(try await tool.run("lock", "clean").status == 64)
        #expect(try await tool.run("lock", "status").status == 64)
    }
}
