import ArgumentParser
import CommandLineSupport
import ShardPackaging

struct ReceiveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "receive",
    abstract: "The far side of shardtool ship, which starts it over ssh.",
    discussion: """
      Speaks the protocol of docs/shipping.md on standard input and output, and brings a node's \
      directory to its place once every chunk was compared with its digest. Not for people.
      """)

  @Argument(help: "Where the node's directory is to be.")
  var directory: String

  func run() throws {
    try ShipReception.run(input: 0, output: 1, directory: directory)
  }
}
