// SPDX-License-Identifier: Apache-2.0
//
// What a series of runs prints, and with what it ends.

internal import ArgumentParser
internal import _HoldfastStressShims

/// What there is to say of one run.
protocol StressReport {
    /// The first line of the table.
    static var heading: String { get }
    /// A line of the table, and what belongs to it.
    var lines: String { get }
    var json: String { get }
    /// What is wrong, in words.
    var problems: [String] { get }
    var isGood: Bool { get }
    /// SIGINT or the like, which ended the run early; 0 if none did.
    var stopSignal: Int32 { get }
}

/// Makes one run after another, and prints what came of each.
///
/// - Throws: `ExitCode` 1 if not all were good, 128 + n if signal n ended one.
func runSeries<Kind: RawRepresentable<String>, Settings: StressSettings>(
    _ kinds: [Kind],
    asJSON: Bool,
    _ settings: (Kind) -> Settings
) throws {
    var areGood = true
    if !asJSON { print(Settings.Report.heading) }
    for kind in kinds {
        let settings = settings(kind)
        let report = try RunDirectory.with(in: settings.parent, settings.run)
        print(asJSON ? report.json : report.lines)
        fflush(nil)
        if !asJSON { report.problems.forEach { complain("\(kind.rawValue): \($0)") } }
        if report.stopSignal != 0 { throw ExitCode(128 + report.stopSignal) }
        areGood = areGood && report.isGood
    }
    if !areGood { throw ExitCode(1) }
}
