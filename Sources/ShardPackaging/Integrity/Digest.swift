import COpenSSL
import TensorKernels

/// A SHA-256 digest.
public struct Digest: Hashable, Sendable, CustomStringConvertible {
  private let words: SIMD4<UInt64>

  /// Lower-case hexadecimal, 64 digits: the name of a blob.
  public var hexadecimal: String {
    var text: [UInt8] = []
    text.reserveCapacity(64)
    for index in 0..<4 {
      for shift in stride(from: 60, through: 0, by: -4) {
        let digit = UInt8(truncatingIfNeeded: (words[index] >> UInt64(shift)) & 15)
        text.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// `sha256:` and the digits: how manifests write it.
  public var description: String { Self.prefix + hexadecimal }

  private static let prefix = "sha256:"

  /// Reads 64 lower-case hexadecimal digits; nil for anything else.
  public init?(hexadecimal: some StringProtocol) {
    guard hexadecimal.utf8.count == 64 else { return nil }
    var words = SIMD4<UInt64>()
    for (index, byte) in hexadecimal.utf8.enumerated() {
      let digit: UInt8
      switch byte {
      case 0x30...0x39: digit = byte - 0x30
      case 0x61...0x66: digit = byte - 0x57
      default: return nil
      }
      words[index / 16] = words[index / 16] << 4 | UInt64(digit)
    }
    self.words = words
  }

  /// Reads the form of `description`; nil for anything else, such as upper-case digits.
  public init?(_ text: String) {
    guard text.hasPrefix(Self.prefix) else { return nil }
    self.init(hexadecimal: text.dropFirst(Self.prefix.count))
  }

  fileprivate init(bytes: [UInt8]) {
    var words = SIMD4<UInt64>()
    for (index, byte) in bytes.prefix(32).enumerated() {
      words[index / 8] = words[index / 8] << 8 | UInt64(byte)
    }
    self.words = words
  }

  /// The digest of bytes in memory.
  public init(of bytes: RawSpan) {
    let stream = DigestStream()
    stream.update(bytes)
    self = stream.finish()
  }

  public init(of bytes: [UInt8]) {
    self = unsafe Digest(of: bytes.span.bytes)
  }

  /// The digests of two runs of bytes, side by side where the processor can.
  static func pair(_ first: RawSpan, _ second: RawSpan) -> (first: Digest, second: Digest) {
    guard TwoDigests.isSupported else { return (Digest(of: first), Digest(of: second)) }
    let both = TwoDigests.of(first, second)
    return (Digest(bytes: both.first), Digest(bytes: both.second))
  }

  /// The digests of two messages that have arrived piece by piece.
  static func pair(_ pieces: inout TwoDigests.Pair) -> (first: Digest, second: Digest) {
    let both = pieces.finish()
    return (Digest(bytes: both.first), Digest(bytes: both.second))
  }
}

/// SHA-256 of bytes that arrive piece by piece.
///
// SAFETY: the context is created in `init`, freed in `deinit` and never handed out.
@safe public final class DigestStream {
  private let context: OpaquePointer

  public init() {
    guard let context = unsafe EVP_MD_CTX_new() else {
      preconditionFailure("no memory for a SHA-256 context")
    }
    unsafe self.context = context
    restart()
  }

  deinit { unsafe EVP_MD_CTX_free(context) }

  private func restart() {
    let done = unsafe EVP_DigestInit_ex(context, EVP_sha256(), nil)
    precondition(done == 1, "this OpenSSL library offers no SHA-256")
  }

  public func update(_ bytes: RawSpan) {
    let done = unsafe bytes.withUnsafeBytes { buffer in
      unsafe EVP_DigestUpdate(context, buffer.baseAddress, buffer.count)
    }
    precondition(done == 1, "SHA-256 failed")
  }

  /// The digest of everything so far; the stream then starts anew.
  public func finish() -> Digest {
    var bytes = [UInt8](repeating: 0, count: 32)
    var count: UInt32 = 0
    let done = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
      unsafe EVP_DigestFinal_ex(context, buffer.baseAddress, &count)
    }
    precondition(done == 1 && count == 32, "SHA-256 failed")
    restart()
    return Digest(bytes: bytes)
  }
}

/// The digest of a whole that arrives piece by piece, and of each piece: in one go where the
/// processor can.
final class WholeDigest {
  private var both = TwoDigests.isSupported ? TwoDigests.Whole() : nil
  private let whole = DigestStream()
  private let piece = DigestStream()

  /// Appends a piece; returns its own digest.
  func append(_ bytes: RawSpan) -> Digest {
    if let digest = both?.append(bytes) { return Digest(bytes: digest) }
    whole.update(bytes)
    piece.update(bytes)
    return piece.finish()
  }

  /// The digest of everything; nothing may follow.
  func finish() -> Digest {
    if let digest = both?.finish() { return Digest(bytes: digest) }
    return whole.finish()
  }
}
