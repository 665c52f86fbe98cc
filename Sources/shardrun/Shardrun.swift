import ArgumentParser
import CommandLineSupport
import TensorCore

@main
struct Shardrun: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shardrun",
    abstract: "Runs a packed language model on one or several nodes.",
    discussion: """
      Without a command: serves the node whose directory this is, or runs all nodes of \
      ./shards/bundles here and continues what standard input says.
      """,
    version: ToolVersion.current,
    subcommands: [
      GenerateCommand.self, ChatCommand.self, ScoreCommand.self, BenchCommand.self,
      NodeCommand.self, StatusCommand.self, ProbeCommand.self, VerifyCommand.self,
      ReceiveCommand.self, StartCommand.self,
    ],
    defaultSubcommand: StartCommand.self)

  static func main() { Program.run(Self.self) }
}
