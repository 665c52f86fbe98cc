import ShardTransport

/// How much may be on its way between two nodes of a ring; both sides compute the same.
public enum RingLimits {
  /// Limits of every link, from facts that the bundle fixes.
  public static func limits(hiddenSize: Int, prefillChunk: Int) -> LinkLimits {
    let step = StepMessage.headerBytes + prefillChunk * 4 * (hiddenSize + 1)
    let logits = ResultMessage.headerBytes + 4 * ResultMessage.mostLogits
    return LinkLimits(frame: max(step, logits))
  }

  /// Most bytes that a node's links hold at once: both windows, one step at work, one being made.
  public static func bufferBytes(hiddenSize: Int, prefillChunk: Int) -> Int {
    let limits = limits(hiddenSize: hiddenSize, prefillChunk: prefillChunk)
    return 2 * limits.window + 2 * limits.frame
  }
}

extension StageDescription {
  var linkLimits: LinkLimits {
    RingLimits.limits(hiddenSize: hiddenSize, prefillChunk: prefillChunk)
  }
}
