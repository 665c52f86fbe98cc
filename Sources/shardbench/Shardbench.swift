import ArgumentParser
import CommandLineSupport

@main
struct Shardbench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "shardbench",
    abstract: "Measures kernels, loading and generation.",
    version: "0.1.0",
    subcommands: [SynthCommand.self]
  )

  static func main() { Program.run(Self.self) }
}
