import ArgumentParser
import CommandLineSupport
import TensorCore

@main
struct Shardtool: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shardtool",
    abstract:
      "Prepares language models for several small machines: quantizes, plans, packs, ships.",
    version: ToolVersion.current,
    subcommands: [
      QuantizeCommand.self,
      EvaluateCommand.self,
      PlanCommand.self,
      PackCommand.self,
      VerifyCommand.self,
      KeygenCommand.self,
      SignCommand.self,
      InspectCommand.self,
      ExportCommand.self,
      ImportCommand.self,
      PrepareCommand.self,
      ShipCommand.self,
      GcCommand.self,
      TokenizeCommand.self,
      DetokenizeCommand.self,
    ]
  )

  static func main() { Program.run(Self.self) }
}
