import ShardTransport
import TensorCore
import TestSupport
import Testing

@Suite struct FrameCodecTests {
  private func hash(_ text: String) -> UInt64 {
    let bytes = Array(text.utf8)
    return unsafe XXH64.hash(bytes.span.bytes, seed: 0)
  }

  @Test func checksumIsXXH64() {
    #expect(hash("") == 0xEF46_DB37_51D8_E999)
    #expect(hash("a") == 0xD24E_C4F1_A98C_6E5B)
    #expect(hash("abc") == 0x44BC_2CF5_AD77_0999)
    #expect(hash("Nobody inspects the spammish repetition") == 0xFBCE_A83C_8A37_8BF1)
  }

  /// Decodes all frames of some bytes, given in pieces.
  private func decode(
    _ bytes: [UInt8], pieces: [Int], limit: Int = 1 << 16
  ) throws(TransportFault) -> [Frame] {
    var decoder = FrameDecoder(frameLimit: limit)
    var frames: [Frame] = []
    var start = 0
    for piece in pieces + [bytes.count] {
      let end = min(bytes.count, start + piece)
      let part = Array(bytes[start..<end])
      var offset = 0
      while offset < part.count {
        guard let frame = try unsafe decoder.next(part.span.bytes, from: &offset) else { break }
        frames.append(frame)
      }
      start = end
    }
    return frames
  }

  @Test func anyPiecesGiveTheSameFrames() throws {
    var random = SeededGenerator(seed: 11)
    var encoder = FrameEncoder()
    let frames = (0..<40).map { index in
      Frame(
        kind: UInt8(index),
        payload: (0..<Int.random(in: 0...300, using: &random)).map { _ in
          UInt8.random(in: 0...255, using: &random)
        })
    }
    let bytes = frames.flatMap { encoder.encode($0) }
    for _ in 0..<50 {
      let pieces = (0..<2000).map { _ in Int.random(in: 0...40, using: &random) }
      #expect(try decode(bytes, pieces: pieces) == frames)
    }
  }

  @Test func everyFlippedBitIsNoticed() throws {
    var encoder = FrameEncoder()
    let bytes = encoder.encode(Frame(kind: 64, payload: Array(0..<100)))
    for index in bytes.indices {
      for bit in 0..<8 {
        var damaged = bytes
        damaged[index] ^= 1 << UInt8(bit)
        // A length that grew waits for bytes that never come; all else is refused.
        let frames = try? decode(damaged, pieces: [])
        #expect(frames == nil || frames == [], "byte \(index), bit \(bit)")
      }
    }
  }

  private func fault(_ bytes: [UInt8], limit: Int = 1000) -> TransportFault? {
    do throws(TransportFault) {
      _ = try decode(bytes, pieces: [], limit: limit)
      return nil
    } catch { return error }
  }

  @Test func reasonsAreNamed() {
    var encoder = FrameEncoder()
    let first = encoder.encode(Frame(kind: 16))
    let second = encoder.encode(Frame(kind: 16))
    #expect(fault(Array("GET / HTTP/1.1\r\n".utf8))?.code == "transport.notANode")
    #expect(fault([0x17 + 1])?.code == "transport.notANode")
    // A TLS handshake, and a TLS alert.
    #expect(fault([0x16, 3, 1])?.code == "transport.encryption")
    #expect(fault([0x15])?.exitStatus == .notTrusted)
    #expect(fault([0x73, 0x68, 2])?.code == "transport.version")
    #expect(fault(second)?.code == "transport.sequence")
    #expect(fault(first + first)?.code == "transport.sequence")
    #expect(fault(first + second) == nil)
    var long = first
    (long[4], long[5], long[6], long[7]) = (0xFF, 0xFF, 0xFF, 0xFF)
    #expect(fault(long)?.code == "transport.frameTooLong")
    var flipped = first
    flipped[12] ^= 1
    #expect(fault(flipped)?.code == "transport.checksum")
    #expect(fault(encoder.encode(Frame(kind: 16)) + [0])?.code == "transport.sequence")
  }

  @Test func randomBytesNeverCrash() {
    var random = SeededGenerator(seed: 12)
    for _ in 0..<5000 {
      var bytes = (0..<Int.random(in: 0...200, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      // Half of them get past the first checks.
      if Bool.random(using: &random), bytes.count >= 12 {
        bytes.replaceSubrange(0..<3, with: [0x73, 0x68, 1])
        bytes.replaceSubrange(4..<12, with: [bytes[4] & 127, 0, 0, 0, 0, 0, 0, 0])
      }
      _ = fault(bytes)
    }
  }

  @Test func addresses() throws {
    #expect(try HostPort("laptop2:7070") == HostPort(host: "laptop2", port: 7070))
    #expect(try HostPort("[::1]:0") == HostPort(host: "::1", port: 0))
    #expect(HostPort(host: "::1", port: 7).description == "[::1]:7")
    for text in ["", ":", "a", "a:", ":1", "a:65536", "a:-1", "a:1x", "::1:80", "a b:1", "[]:1"] {
      #expect(throws: TransportFault.self, "\(text)") { try HostPort(text) }
    }
  }
}
