import ArgumentParser
import CommandLineSupport
import TensorCore

@main
struct Shardbench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shardbench",
    abstract:
      "Measures kernels, the worker pool, planning, packing, verifying, loading and generation.",
    version: ToolVersion.current,
    subcommands: [
      KernelsCommand.self, PoolCommand.self, PlanCommand.self, PackCommand.self,
      VerifyCommand.self, LoadCommand.self, GenerateCommand.self, PipelineCommand.self,
      SynthCommand.self,
    ]
  )

  static func main() { Program.run(Self.self) }
}
