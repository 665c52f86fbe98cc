import ShardPackaging
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
