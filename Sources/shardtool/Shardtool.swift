import ArgumentParser
import CommandLineSupport

@main
struct Shardtool: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shardtool",
    abstract:
      "Prepares language models for several small machines: quantizes, plans, packs, ships.",
    version: "0.1.0",
    subcommands: [
      QuantizeCommand.self,
      PlanCommand.self,
      PackCommand.self,
      VerifyCommand.self,
      InspectCommand.self,
      PrepareCommand.self,
      ShipCommand.self,
      GcCommand.self,
      TokenizeCommand.self,
      DetokenizeCommand.self,
    ]
  )

  static func main() { Program.run(Self.self) }
}
