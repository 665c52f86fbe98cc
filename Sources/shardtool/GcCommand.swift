import ArgumentParser
import CommandLineSupport
import ShardPackaging

struct GcCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gc",
    abstract: "Removes blobs that no bundle needs, and what killed commands have left beside them.",
    discussion: """
      Example: shardtool gc shards --dry-run

      Takes a bundle, a node's directory, or a directory that holds some. What a command that \
      still runs is writing is left alone, and so is everything that none has written. What \
      killed exports and imports have left is found in the directory that holds it. A broken ship \
      starts anew after its leftovers are gone.
      """)

  @Argument(help: "A bundle, a node's directory, or a directory that holds some.")
  var place = "shards"

  @Flag(name: .customLong("dry-run"), help: "Say what would be removed, and remove nothing.")
  var isDryRun = false

  @OptionGroup var common: CommonOptions

  func run() throws {
    let report = try StoreSweep.run(place, isDryRun: isDryRun)
    if common.json {
      Console.write(report.json)
    } else {
      Console.write(report.text)
    }
  }
}
