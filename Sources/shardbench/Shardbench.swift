import ArgumentParser
import CommandLineSupport

@main
struct Shardbench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shardbench",
    abstract: "Measures kernels, the worker pool, packing, verifying, loading and generation.",
    version: "0.1.0",
    subcommands: [
      KernelsCommand.self, PoolCommand.self, PackCommand.self, VerifyCommand.self,
      LoadCommand.self, GenerateCommand.self,
      SynthCommand.self,
    ]
  )

  static func main() { Program.run(Self.self) }
}
