/// What a node's process takes beside the model: the numbers that the code allocates by, and what
/// was measured of the rest.
public enum ProcessBytes {
  /// Program and libraries, manifest and plan, buffers of links: 31 to 36 MiB were measured.
  static let baseBytes = 40 << 20
  /// Touched stack, allocator's arena and decompression context of a thread.
  static let threadBytes = 512 << 10
  /// Frames of hidden states on a node for each coordinator: at most three come in, two go out.
  static let frames = 5

  /// Raw bytes of a chunk of a blob.
  public static let chunkByteCount = 4 << 20
  /// Buffers in which a thread reads a chunk: as stored, raw, and, of numbers of several bytes,
  /// with their bytes apart.
  public static let chunkBuffers = 3

  /// The most memory that reading blobs takes beside what is made of them.
  ///
  /// - Parameter numbers: bytes of the largest plane of numbers of several bytes.
  public static func loadBufferBytes(threads: Int, numbers: Int = chunkByteCount) -> Int {
    threads * ((chunkBuffers - 1) * chunkByteCount + min(chunkByteCount, numbers))
  }

  static func runtimeBytes(_ settings: PlanSettings, hiddenSize: Int) -> Int {
    let frame = settings.prefillChunk * hiddenSize * MemoryLayout<Float>.size
    // One more is being made. There may be as many coordinators as sequences.
    return baseBytes + settings.threads * threadBytes + (1 + frames * settings.sequences) * frame
  }

  /// A tokenizer's tables and its files while they are read.
  static func tokenizerBytes(fileBytes: Int) -> Int {
    fileBytes == 0 ? 0 : 4 << 20 + 6 * fileBytes
  }
}
