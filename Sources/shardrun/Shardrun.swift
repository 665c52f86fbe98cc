import ArgumentParser
import CommandLineSupport

@main
struct Shardrun: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shardrun",
    abstract: "Runs a packed language model on one or several nodes.",
    version: "0.1.0",
    subcommands: []
  )

  static func main() { Program.run(Self.self) }
}
