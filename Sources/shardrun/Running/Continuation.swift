import CommandLineSupport
import ShardRuntime
import TensorCore

/// Continues prompts with a running model and prints what comes.
struct Continuation {
  let model: RunningModel
  let length: LengthOptions
  let sampling: SamplingParameters
  let common: CommonOptions
  let interruption: Interruption
  /// Whether statistics have a line for each node where there are several.
  var showsNodes = true

  /// Generates; text goes to standard output as it comes, or JSON at the end.
  ///
  /// - Parameter echo: text to print before what comes.
  func run(_ ids: [Int32], echo: String = "") throws {
    let request = GenerationRequest(
      promptIds: ids, maximumTokens: length.maximumTokens, sampling: sampling,
      stopIds: length.ignoresEnd ? [] : model.stopIds)
    let generator = Generator(
      runner: model.makeRunner(), tokenizer: model.tokenizer, limits: model.limits)
    var output = StreamOutput()
    let printsIds = model.tokenizer == nil
    let isSilent = common.json
    if !isSilent, !echo.isEmpty {
      try model.limits.check(ids)
      try model.limits.check(positions: ids.count)
      output.write(echo)
    }
    let result = try model.run {
      do {
        return try generator.generate(request) { step in
          if !isSilent {
            output.write(printsIds ? step.token.map { "\($0) " } ?? "" : step.text)
          }
          return output.isOpen && !interruption.isRequested
        }
      } catch {
        output.finishLine()
        throw error
      }
    }
    output.finishLine()
    try report(result)
  }

  private func report(_ result: GenerationResult) throws {
    let statistics = try model.statistics()
    let report = GenerationReport(
      result: result, plan: model.shard.plan, loadSeconds: model.loadSeconds,
      nodes: NodeReport(model.shard, statistics))
    if common.json {
      if result.finishReason != .interrupted { Console.write(report.json) }
    } else {
      let withNodes = showsNodes && model.package.nodeNames.count > 1
      for line in report.lines(withNodes: withNodes) { common.note(line) }
      if !model.standsForOthers, let warning = report.drift?.warning {
        common.note("warning: \(warning)")
      }
    }
  }
}
