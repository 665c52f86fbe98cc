import ArgumentParser
import ShardRuntime

/// How tokens are chosen.
struct SamplingOptions: ParsableArguments {
  @Option(help: "Divides the logits before a random choice; 0 takes the most probable token.")
  var temperature: Float = 0

  @Option(name: .customLong("top-k"), help: "Choose among this many tokens; 0 for all.")
  var topK = 0

  @Option(
    name: .customLong("top-p"),
    help: "Choose among the fewest tokens whose probabilities reach this sum.")
  var topP: Float = 1

  @Option(help: "Seed of the random choice; equal seeds give equal text.")
  var seed: UInt64 = 0

  func validate() throws {
    guard temperature.isFinite, temperature >= 0 else {
      throw ValidationError("--temperature takes a number from 0 up, not \(temperature).")
    }
    guard topK >= 0 else { throw ValidationError("--top-k takes a number from 0 up, not \(topK).") }
    guard topP > 0, topP <= 1 else {
      throw ValidationError("--top-p takes a number above 0 and up to 1, not \(topP).")
    }
  }

  var parameters: SamplingParameters {
    SamplingParameters(temperature: temperature, topK: topK, topP: topP, seed: seed)
  }
}
