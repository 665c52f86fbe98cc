import Quantization

/// How a plane or file is cut into chunks: whole rows, as many as fit, at least one
/// (docs/format.md §4).
public struct ChunkRanges: Sendable {
  public let byteCount: Int
  private let step: Int

  init(byteCount: Int, step: Int) {
    self.byteCount = byteCount
    self.step = step
  }

  init(plane: PlaneLayout, chunkByteCount: Int) {
    let rows = max(1, chunkByteCount / plane.bytesPerRow)
    self.init(byteCount: plane.byteCount, step: rows * plane.bytesPerRow)
  }

  public var count: Int { (byteCount + step - 1) / step }

  public subscript(index: Int) -> Range<Int> {
    index * step..<min(byteCount, (index + 1) * step)
  }
}
