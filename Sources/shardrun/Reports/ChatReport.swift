import CommandLineSupport
import ShardRuntime
import StrictJSON

/// One turn of a chat for programs: an object that stands on one line.
struct ChatReport {
  let turn: Int
  let result: GenerationResult

  var line: String {
    let timings = result.timings
    let object: JSONValue = [
      "schema": "shardrun.chat/1",
      "turn": JSONValue(turn),
      "text": .string(result.text ?? ""),
      "token_ids": .array(result.tokenIds.map { JSONValue(Int($0)) }),
      "finish_reason": .string(result.finishReason.rawValue),
      "timings": [
        "prompt_tokens": JSONValue(timings.promptTokens),
        "kept_tokens": JSONValue(timings.keptTokens),
        "generated_tokens": JSONValue(timings.generatedTokens),
        "first_token_seconds": .double(timings.firstTokenSeconds),
        "decode_seconds": .double(timings.decodeSeconds),
        "lost_seconds": .double(timings.lostSeconds),
        "prefill_tokens_per_second": .optional(timings.prefillTokensPerSecond),
        "decode_tokens_per_second": .optional(timings.decodeTokensPerSecond),
      ],
    ]
    return object.serialized(.compact) + "\n"
  }
}
