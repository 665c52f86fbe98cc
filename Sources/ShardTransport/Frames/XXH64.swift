/// A fast checksum against accidents; it protects against no attacker.
///
/// Source: XXH64 of the xxHash specification, github.com/Cyan4973/xxHash, doc/xxhash_spec.md.
package enum XXH64 {
  package static func hash(_ bytes: RawSpan, seed: UInt64) -> UInt64 {
    var offset = 0
    var result: UInt64
    if bytes.byteCount >= 32 {
      var (a, b) = (seed &+ prime1 &+ prime2, seed &+ prime2)
      var (c, d) = (seed, seed &- prime1)
      while offset + 32 <= bytes.byteCount {
        a = round(a, word(bytes, offset))
        b = round(b, word(bytes, offset + 8))
        c = round(c, word(bytes, offset + 16))
        d = round(d, word(bytes, offset + 24))
        offset += 32
      }
      result = rotate(a, 1) &+ rotate(b, 7) &+ rotate(c, 12) &+ rotate(d, 18)
      for lane in [a, b, c, d] { result = (result ^ round(0, lane)) &* prime1 &+ prime4 }
    } else {
      result = seed &+ prime5
    }
    result &+= UInt64(bytes.byteCount)
    while offset + 8 <= bytes.byteCount {
      result ^= round(0, word(bytes, offset))
      result = rotate(result, 27) &* prime1 &+ prime4
      offset += 8
    }
    if offset + 4 <= bytes.byteCount {
      let half = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)
      result ^= UInt64(UInt32(littleEndian: half)) &* prime1
      result = rotate(result, 23) &* prime2 &+ prime3
      offset += 4
    }
    while offset < bytes.byteCount {
      let byte = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt8.self)
      result ^= UInt64(byte) &* prime5
      result = rotate(result, 11) &* prime1
      offset += 1
    }
    return avalanche(result)
  }

  private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
  private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
  private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
  private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
  private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

  /// Eight bytes; the bounds are checked by the callers' loops and by the span.
  private static func word(_ bytes: RawSpan, _ offset: Int) -> UInt64 {
    UInt64(littleEndian: unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  private static func rotate(_ value: UInt64, _ count: UInt64) -> UInt64 {
    value << count | value >> (64 - count)
  }

  private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
    rotate(lane &+ word &* prime2, 31) &* prime1
  }

  private static func avalanche(_ value: UInt64) -> UInt64 {
    var value = value
    value = (value ^ value >> 33) &* prime2
    value = (value ^ value >> 29) &* prime3
    return value ^ value >> 32
  }
}
