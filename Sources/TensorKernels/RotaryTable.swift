import TensorCore

/// Cosines and sines of rotary position embeddings.
///
/// Shapes: both [positions, rotaryDimensions / 2]. An angle is Float(position) · frequency, rounded
/// to a float as the reference libraries do; its cosine and sine are exact to a float.
public struct RotaryTable: Sendable {
  public let positions: Int
  /// Leading dimensions of each head that turn; even.
  public let rotaryDimensions: Int
  /// Pairs (2k, 2k + 1) turn together instead of (k, k + half).
  public let interleaved: Bool
  private let storage: AlignedBuffer

  /// Precondition: `positions` is not negative.
  public init(
    inverseFrequencies: [Float], positions: Int, interleaved: Bool, attentionFactor: Float = 1
  ) {
    precondition(positions >= 0, "a table cannot have \(positions) positions")
    self.positions = positions
    self.interleaved = interleaved
    rotaryDimensions = inverseFrequencies.count * 2
    let half = inverseFrequencies.count
    let count = positions * half
    storage = AlignedBuffer(byteCount: count * 8)
    storage.withMutableElements(of: Float.self) { values in
      for position in 0..<positions {
        for (k, frequency) in inverseFrequencies.enumerated() {
          let angle = Trigonometry.sineAndCosine(Double(Float(position) * frequency))
          let index = position * half + k
          values[index] = Float(angle.cosine) * attentionFactor
          values[count + index] = Float(angle.sine) * attentionFactor
        }
      }
    }
  }

  /// Bytes of a table; the memory ledger counts with it.
  public static func byteCount(rotaryDimensions: Int, positions: Int) -> Int {
    rotaryDimensions * positions * 4
  }

  @unsafe var cosines: UnsafeMutablePointer<Float> {
    unsafe storage.pointer.assumingMemoryBound(to: Float.self)
  }

  @unsafe var sines: UnsafeMutablePointer<Float> {
    unsafe cosines + positions * (rotaryDimensions / 2)
  }
}
