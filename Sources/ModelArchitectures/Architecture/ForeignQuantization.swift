import StrictJSON

/// Weights that another tool has quantized: how they are known, and what can be done with them.
public enum ForeignQuantization {
  /// What `quantization_config` says, as the second half of a sentence; nil for our own.
  static func advice(_ value: JSONValue) -> String? {
    let method = value["quant_method"]?.string ?? ""
    guard method != "shardtool" else { return nil }
    // Old files of bitsandbytes do not name it.
    let isBitsAndBytes =
      method == "bitsandbytes" || value["load_in_4bit"] != nil || value["load_in_8bit"] != nil
    let name = isBitsAndBytes ? "bitsandbytes" : method
    return advice(name)
  }

  private static func advice(_ method: String) -> String {
    let original = "give the original fp16 checkpoint"
    switch method {
    case "bitsandbytes":
      return
        "the weights are already quantized by bitsandbytes, whose scales are quantized once more "
        + "and fit none of our schemes: \(original), or write it anew with transformers "
        + "(model.dequantize(), then save_pretrained)"
    case "gptq":
      return
        "the weights are already quantized by GPTQ: shardtool import takes those whose codes are "
        + "symmetric; of others \(original), or a GGUF file of the model"
    case "awq":
      return
        "the weights are already quantized by AWQ, whose zero points none of our schemes holds "
        + "exactly: \(original), or a GGUF file of the model, which shardtool import takes as it is"
    case "": return "the weights are already quantized by another tool: \(original)"
    default:
      return "the weights are already quantized by \(Excerpt.quoted(method)): \(original)"
    }
  }

  /// The same for a checkpoint whose config.json says nothing, by the names of its tensors.
  public static func advice(tensorNames: [String]) -> String? {
    func has(_ ending: String) -> Bool { tensorNames.contains { $0.hasSuffix(ending) } }
    if tensorNames.contains(where: { $0.contains(".quant_state.bitsandbytes__") })
      || (has(".weight.absmax") && has(".weight.quant_map")) || has(".weight.SCB") || has(".SCB")
    {
      return advice("bitsandbytes")
    }
    guard has(".qweight"), has(".scales") else { return nil }
    return advice(has(".g_idx") ? "gptq" : "awq")
  }
}
