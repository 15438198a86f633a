// SPDX-License-Identifier: Apache-2.0
//
// A web worker that counts requests together with all others: web PORT DIRECTORY. Start two, and `curl -d '' ADDRESS/hit`
// each: both count to the same number. The port 0 is any free one.

import FlyingFox
import Foundation
import Holdfast

@main struct Web {
    static func main() async throws {
        let arguments = CommandLine.arguments
        guard arguments.count == 3, let port = UInt16(arguments[1]) else {
            print("usage: web PORT DIRECTORY")
            exit(64)
        }
        // No flush for a hit: the count survives the death of every worker, and a power cut may take back the last hits.
        let options = StateOptions(strategy: .twoSlot, durability: .processCrash)
        let hits = try StateFile<Int>("\(arguments[2])/hits", options: options)

        let server = HTTPServer(address: try .inet(ip4: "127.0.0.1", port: port))
        await server.appendRoute("POST /hit") { _ in
            try await hits.update(initial: 0) { $0 += 1 }
            return HTTPResponse(statusCode: .ok)
        }
        await server.appendRoute("GET /hits") { _ in
            let count = try await hits.loadIfPresent() ?? 0
            return HTTPResponse(statusCode: .ok, body: Data("\(count)\n".utf8))
        }

        let serving = Task { try await server.run() }
        try await server.waitUntilListening()
        if case .ip4(let host, port: let port) = await server.listeningAddress {
            FileHandle.standardOutput.write(Data("http://\(host):\(port)\n".utf8))
        }
        try await serving.value
    }
}
