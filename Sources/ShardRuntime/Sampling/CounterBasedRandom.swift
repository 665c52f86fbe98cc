/// Random numbers as a pure function of a key and a counter, without state to carry along.
///
/// A node that takes over in the middle of a run draws the same numbers as the one it replaces.
///
/// Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3" (SC 2011), Philox4x32-10.
public enum CounterBasedRandom {
  /// The four words that Philox makes of a 128-bit counter and a 64-bit key.
  public static func words(
    counter: (UInt32, UInt32, UInt32, UInt32), key: (UInt32, UInt32)
  ) -> (UInt32, UInt32, UInt32, UInt32) {
    var (c0, c1, c2, c3) = counter
    var (k0, k1) = key
    for _ in 0..<10 {
      let left = UInt64(c0) * 0xD251_1F53
      let right = UInt64(c2) * 0xCD9E_8D57
      (c0, c1, c2, c3) = (
        UInt32(truncatingIfNeeded: right >> 32) ^ c1 ^ k0, UInt32(truncatingIfNeeded: right),
        UInt32(truncatingIfNeeded: left >> 32) ^ c3 ^ k1, UInt32(truncatingIfNeeded: left)
      )
      k0 &+= 0x9E37_79B9
      k1 &+= 0xBB67_AE85
    }
    return (c0, c1, c2, c3)
  }

  /// A number in 0 ..< 1 with 53 random bits for one step of one seed.
  public static func uniform(seed: UInt64, step: Int) -> Double {
    let index = UInt64(bitPattern: Int64(step))
    let drawn = words(
      counter: (UInt32(truncatingIfNeeded: index), UInt32(truncatingIfNeeded: index >> 32), 0, 0),
      key: (UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)))
    let bits = UInt64(drawn.0) << 21 | UInt64(drawn.1) >> 11
    return Double(bits) * 0x1p-53
  }
}
