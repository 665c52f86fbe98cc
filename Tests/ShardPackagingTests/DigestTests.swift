import ShardPackaging
import TensorKernels
import TestSupport
import Testing

@Suite struct DigestTests {
  /// FIPS 180-4 examples.
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
  ])
  func meetsTheStandard(text: String, digits: String) {
    let digest = Digest(of: Array(text.utf8))
    #expect(digest.hexadecimal == digits)
    #expect(digest.description == "sha256:\(digits)")
    #expect(Digest("sha256:\(digits)") == digest)
    #expect(Digest(hexadecimal: digits) == digest)
  }

  @Test func streamsEqualWholes() {
    let bytes = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    let stream = DigestStream()
    for start in stride(from: 0, to: bytes.count, by: 333) {
      let piece = Array(bytes[start..<min(bytes.count, start + 333)])
      unsafe stream.update(piece.span.bytes)
    }
    #expect(stream.finish() == Digest(of: bytes))
    #expect(stream.finish() == Digest(of: []))
  }

  /// Ours for two messages at once, and OpenSSL's for each.
  @Test(.enabled(if: TwoDigests.isSupported)) func pairsEqualSingles() {
    var generator = SeededGenerator(seed: 6)
    let bytes = (0..<5000).map { _ in UInt8.random(in: 0...255, using: &generator) }
    for trial in 0..<600 {
      // All short lengths, where padding begins a block of its own or not.
      let longest = trial < 200 ? trial : 2400
      let count = trial < 200 ? trial : Int.random(in: 0...longest, using: &generator)
      let first = Array(bytes[..<count])
      let second = Array(bytes[2500..<2500 + Int.random(in: 0...longest, using: &generator)])
      let both = unsafe TwoDigests.of(first.span.bytes, second.span.bytes)
      #expect(digits(both.first) == Digest(of: first).hexadecimal, "\(first.count) bytes")
      #expect(digits(both.second) == Digest(of: second).hexadecimal, "\(second.count) bytes")
    }
  }

  /// A whole and its pieces in one go, whatever their lengths.
  @Test(.enabled(if: TwoDigests.isSupported)) func wholesEqualTheirPieces() {
    var generator = SeededGenerator(seed: 7)
    for trial in 0..<200 {
      var digest = TwoDigests.Whole()
      var all: [UInt8] = []
      for _ in 0..<Int.random(in: 0...6, using: &generator) {
        let count = Int.random(in: 0...(trial % 2 == 0 ? 100 : 1000), using: &generator)
        let piece = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
        all += piece
        #expect(unsafe digits(digest.append(piece.span.bytes)) == Digest(of: piece).hexadecimal)
      }
      #expect(digits(digest.finish()) == Digest(of: all).hexadecimal)
    }
  }

  private func digits(_ digest: [UInt8]) -> String {
    digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  @Test(arguments: [
    "", "sha256:", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0",
    "sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha256:../816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  ])
  func refusesOtherForms(text: String) {
    #expect(Digest(text) == nil)
  }
}
