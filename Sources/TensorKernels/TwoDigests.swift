import CKernels

/// SHA-256 of two messages at once, by the processor's own instructions: faster than one after
/// the other, since each message alone leaves them waiting.
public enum TwoDigests {
  /// Whether this processor has the instructions.
  public static let isSupported = ck_sha256_is_supported() != 0

  /// The digests of both, 32 bytes each.
  ///
  /// Precondition: `isSupported`.
  public static func of(_ first: RawSpan, _ second: RawSpan) -> (first: [UInt8], second: [UInt8]) {
    var pair = Pair()
    pair.append(first, second)
    return pair.finish()
  }

  /// The digests of two messages that arrive piece by piece.
  public struct Pair {
    private var digests = (ck_sha256(), ck_sha256())

    /// Precondition: `isSupported`.
    public init() {
      precondition(isSupported, "this processor has no instructions for SHA-256")
      unsafe ck_sha256_start(&digests.0)
      unsafe ck_sha256_start(&digests.1)
    }

    /// Appends to both; pieces may be empty.
    public mutating func append(_ first: RawSpan, _ second: RawSpan) {
      unsafe first.withUnsafeBytes { first in
        unsafe second.withUnsafeBytes { second in
          unsafe ck_sha256_update(
            &digests.0, first.baseAddress, first.count, &digests.1, second.baseAddress,
            second.count)
        }
      }
    }

    /// The digests of everything so far, 32 bytes each; nothing may follow.
    public mutating func finish() -> (first: [UInt8], second: [UInt8]) {
      (TwoDigests.finish(&digests.0), TwoDigests.finish(&digests.1))
    }
  }

  private static func finish(_ digest: inout ck_sha256) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 32)
    unsafe ck_sha256_finish(&digest, &bytes)
    return bytes
  }

  /// The digest of a whole that arrives piece by piece, and of each piece.
  public struct Whole {
    private var digest = ck_sha256()

    /// Precondition: `isSupported`.
    public init() {
      precondition(isSupported, "this processor has no instructions for SHA-256")
      unsafe ck_sha256_start(&digest)
    }

    /// Appends a piece; returns its own digest.
    public mutating func append(_ piece: RawSpan) -> [UInt8] {
      var own = ck_sha256()
      unsafe ck_sha256_start(&own)
      unsafe piece.withUnsafeBytes { piece in
        unsafe ck_sha256_update(
          &digest, piece.baseAddress, piece.count, &own, piece.baseAddress, piece.count)
      }
      return TwoDigests.finish(&own)
    }

    /// The digest of everything so far; nothing may follow.
    public mutating func finish() -> [UInt8] { TwoDigests.finish(&digest) }
  }
}
