import CommandLineSupport
import ShardPlanning
import ShardRuntime
import StrictJSON
import TensorCore

/// The result of `generate` for people and for programs.
struct GenerationReport {
  let result: GenerationResult
  let plan: ShardPlan
  /// Nil where the model had been loaded before.
  let loadSeconds: Double?
  let nodes: NodeReport

  /// Fewer tokens say little about a machine's speed.
  private static let fewestTokens = 16

  /// How far a token's time is from the prediction; nil where too few were generated.
  var drift: PredictionDrift? {
    let timings = result.timings
    guard timings.generatedTokens > Self.fewestTokens, let rate = timings.decodeTokensPerSecond
    else { return nil }
    return PredictionDrift(tokenSeconds: 1 / rate, plan: plan)
  }

  /// Statistics in a few lines.
  func lines(withNodes: Bool) -> [String] {
    let timings = result.timings
    var line = "prompt \(Quantity.count(timings.promptTokens, "token"))"
    if timings.keptTokens > 0 { line += ", \(timings.keptTokens) of them kept" }
    line += Self.rate(timings.prefillTokensPerSecond)
    line += ", generated \(Quantity.count(timings.generatedTokens, "token"))"
    line += Self.rate(
      timings.decodeTokensPerSecond, predicted: plan.prediction.tokensPerSecond)
    line += ", first token after \(Self.milliseconds(timings.firstTokenSeconds))"
    if let loadSeconds { line += " (loading \(Self.milliseconds(loadSeconds)))" }
    if timings.lostSeconds > 0 { line += ", lost \(Self.seconds(timings.lostSeconds)) with nodes" }
    line += ", ended by \(result.finishReason.rawValue)"
    return [line] + (withNodes ? nodes.lines : [])
  }

  private static func rate(_ rate: Double?, predicted: Double? = nil) -> String {
    guard let rate else { return "" }
    let text = "\(Quantity.fixed(rate, digits: 1)) tokens/s"
    guard let predicted else { return " (\(text))" }
    return " (\(text), predicted \(Quantity.fixed(predicted, digits: 1)))"
  }

  private static func seconds(_ seconds: Double) -> String {
    "\(Quantity.fixed(seconds, digits: 1)) s"
  }

  private static func milliseconds(_ seconds: Double) -> String {
    "\(Quantity.fixed(seconds * 1000, digits: 1)) ms"
  }

  var json: JSONValue {
    let timings = result.timings
    return [
      "schema": "shardrun.generate/1",
      "token_ids": .array(result.tokenIds.map { JSONValue(Int($0)) }),
      "text": result.text.map { .string($0) } ?? .null,
      "finish_reason": .string(result.finishReason.rawValue),
      "timings": [
        "load_seconds": .optional(loadSeconds),
        "prompt_tokens": JSONValue(timings.promptTokens),
        "generated_tokens": JSONValue(timings.generatedTokens),
        "first_token_seconds": .double(timings.firstTokenSeconds),
        "decode_seconds": .double(timings.decodeSeconds),
        "lost_seconds": .double(timings.lostSeconds),
        "prefill_tokens_per_second": .optional(timings.prefillTokensPerSecond),
        "decode_tokens_per_second": .optional(timings.decodeTokensPerSecond),
      ],
      "predicted": [
        "token_seconds": .double(Double(plan.prediction.tokenNanoseconds) * 1e-9)
      ],
      "token_drift": .optional(drift?.share),
      "nodes": nodes.json,
    ]
  }
}
