import ArgumentParser
import CommandLineSupport
import ShardRuntime
import StrictJSON
import TensorCore

/// Continues the lines of a file, several at once, and prints the answers in their order.
struct LineBatch {
  let model: RunningModel
  let length: LengthOptions
  let sampling: SamplingParameters
  /// Most sequences at once; nil for as many as were planned.
  let width: Int?
  let common: CommonOptions
  let interruption: Interruption

  /// The lines of a text; the line feed that ends it begins no other.
  static func lines(of text: String) -> [String] {
    // By bytes: to String, a carriage return and a line feed are one character.
    let pieces = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    var lines = pieces.map { line in
      String(decoding: line.last == UInt8(ascii: "\r") ? line.dropLast() : line, as: UTF8.self)
    }
    if lines.last == "" { lines.removeLast() }
    return lines
  }

  func run(_ path: String) throws {
    do {
      try generate(path)
    } catch let fault as any Fault where common.json {
      // The other objects stand on one line each; so does this one.
      Program.tell(fault, asJSON: true)
      throw ExitCode(fault.exitStatus.rawValue)
    }
  }

  private func generate(_ path: String) throws {
    let stopIds = length.ignoresEnd ? [] : model.stopIds
    let requests = try Self.lines(of: try TextFile.read(path)).map { line in
      GenerationRequest(
        promptIds: try model.encode(line, addSpecialTokens: true),
        maximumTokens: length.maximumTokens, sampling: sampling, stopIds: stopIds)
    }
    let room = model.pipeline.sequences
    if let width, width > room {
      common.note("--sequences \(width): taking \(room), as many as were planned")
    } else if width == nil, room == 1, requests.count > 1, model.package.nodeNames.count > 1 {
      common.note("one prompt after another: plan with --sequences N to run several at once")
    }
    let generator = BatchGenerator(
      tokenizer: model.tokenizer, limits: model.limits, width: width ?? .max)
    var isRead = true
    do {
      let timings = try model.run {
        try generator.generate(
          requests, on: model.pipeline, recovery: model.recovery, connect: model.reconnect,
          isInterrupted: { interruption.isRequested || !Console.outputIsRead }
        ) { index, result in
          isRead = write(result, of: index)
          return isRead
        }
      }
      report(timings, NodeReport(model.shard, try model.statistics()))
    } catch let fault as GenerationFault where fault.code == GenerationFault.interrupted.code {
      // A reader that has gone away is nobody's fault.
      if isRead, Console.outputIsRead { throw fault }
    }
  }

  /// Prints an answer; false where nobody reads any more.
  private func write(_ result: GenerationResult, of index: Int) -> Bool {
    guard common.json else {
      let text = result.text ?? ""
      // An empty line stands between two answers.
      let (before, behind) = (index > 0 ? "\n" : "", text.hasSuffix("\n") ? "" : "\n")
      return Console.writeWhileRead(before + text + behind)
    }
    let object: JSONValue = [
      "schema": "shardrun.line/1",
      "line": JSONValue(index + 1),
      "text": .string(result.text ?? ""),
      "token_ids": .array(result.tokenIds.map { JSONValue(Int($0)) }),
      "finish_reason": .string(result.finishReason.rawValue),
      "prompt_tokens": JSONValue(result.timings.promptTokens),
      "generated_tokens": JSONValue(result.timings.generatedTokens),
    ]
    return Console.writeWhileRead(object.serialized(.compact) + "\n")
  }

  private func report(_ timings: BatchTimings, _ nodes: NodeReport) {
    var line = "\(Quantity.count(timings.prompts, "prompt")) of "
    line += "\(Quantity.count(timings.promptTokens, "token")), generated "
    line += Quantity.count(timings.generatedTokens, "token")
    if let rate = timings.tokensPerSecond {
      line += " (\(Quantity.fixed(rate, digits: 1)) tokens/s together)"
    }
    if timings.lostSeconds > 0 {
      line += ", lost \(Quantity.fixed(timings.lostSeconds, digits: 1)) s with nodes"
    }
    common.note(line)
    if model.package.nodeNames.count > 1 {
      for line in nodes.lines { common.note(line) }
    }
  }
}
