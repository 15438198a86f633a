// SPDX-License-Identifier: Apache-2.0
//
// What a series of runs prints, and with what it ends.

internal import ArgumentParser
internal import _HoldfastStressShims

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
        if report.outcome.stopSignal != 0 { throw ExitCode(128 + report.outcome.stopSignal) }
        areGood = areGood && report.isGood
    }
    if !areGood { throw ExitCode(1) }
}
