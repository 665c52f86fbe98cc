/// How far a long piece of work is.
public struct ProgressUpdate: Sendable {
  /// What is being done, such as "quantize" or "verify".
  public let phase: String
  public let completedBytes: Int
  public let totalBytes: Int

  public init(phase: String, completedBytes: Int, totalBytes: Int) {
    self.phase = phase
    self.completedBytes = completedBytes
    self.totalBytes = totalBytes
  }
}

/// Receives updates, from any thread, a few times a second or more.
public typealias ProgressHandler = @Sendable (ProgressUpdate) -> Void
