import TensorKernels
import Testing

/// Two messages at once, beside what the standard says.
@Suite struct TwoDigestsTests {
  private func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  private func pair(_ first: [UInt8], _ second: [UInt8]) -> [String] {
    let both = unsafe TwoDigests.of(first.span.bytes, second.span.bytes)
    return [hexadecimal(both.first), hexadecimal(both.second)]
  }

  /// The examples of FIPS 180-4.
  @Test(.enabled(if: TwoDigests.isSupported)) func standardExamples() {
    let long = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"
    #expect(
      pair(Array("abc".utf8), Array(long.utf8)) == [
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
      ])
    #expect(
      pair([], [UInt8](repeating: 0x61, count: 1_000_000)) == [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
      ])
  }
}
