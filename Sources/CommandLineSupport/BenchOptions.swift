import ArgumentParser

/// How much a benchmark of prefill and decode runs.
public struct BenchOptions: ParsableArguments {
  @Option(
    name: .customLong("prompt-tokens"), help: "Tokens of the prompt (default: 512, or what fits).")
  public var promptTokens: Int?

  @Option(
    name: .customLong("generate-tokens"),
    help: "Tokens behind the prompt (default: 64, or what fits).")
  public var generateTokens: Int?

  @Option(help: "Repetitions that count.")
  public var repetitions = 5

  public init() {}

  public func validate() throws {
    for (name, value) in [
      ("--prompt-tokens", promptTokens), ("--generate-tokens", generateTokens),
      ("--repetitions", repetitions),
    ] {
      if let value, value < 1 {
        throw ValidationError("\(name) takes a positive number, not \(value).")
      }
    }
  }
}
