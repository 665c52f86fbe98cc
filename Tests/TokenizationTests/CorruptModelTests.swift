import TensorCore
import TestSupport
import Testing
import Tokenization

/// A `tokenizer.model` that is broken: a sentence, never a crash.
@Suite struct CorruptModelTests {
  private func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
    [number << 3 | 2, UInt8(bytes.count)] + bytes
  }

  private func piece(_ text: String, score: Float = -1, kind: UInt8 = 1) -> [UInt8] {
    let bits = score.bitPattern
    let bytes = (0..<4).map { UInt8(truncatingIfNeeded: bits >> (8 * UInt32($0))) }
    return field(1, field(1, Array(text.utf8)) + [0x15] + bytes + [0x18, kind])
  }

  /// Pieces, then a trainer specification that says BPE.
  private func model(_ pieces: [[UInt8]]) -> [UInt8] {
    pieces.flatMap { $0 } + field(2, [0x18, 2])
  }

  private var sound: [[UInt8]] { [piece("<unk>", kind: 2), piece("a"), piece("b"), piece("ab")] }

  private func fault(_ bytes: [UInt8]) -> TokenizationFault? {
    do {
      _ = try Tokenizer.load(files: ["tokenizer.model": bytes])
      return nil
    } catch { return error as? TokenizationFault }
  }

  @Test func soundModel() throws {
    let tokenizer = try Tokenizer.load(files: ["tokenizer.model": model(sound)])
    #expect(tokenizer.encode("ab", addSpecialTokens: false) == [0, 3])
  }

  @Test func contradictions() {
    let cases: [(String, [UInt8], String)] = [
      ("NaN", model(sound + [piece("x", score: .nan)]), "score"),
      ("infinite", model(sound + [piece("x", score: .infinity)]), "score"),
      ("empty piece", model(sound + [piece("")]), "empty"),
      ("repeated", model(sound + [piece("a")]), "twice"),
      ("no unknown", model([piece("a")]), "unknown"),
      ("two unknown", model(sound + [piece("<u>", kind: 2)]), "two"),
      ("stray byte", model(sound + [piece("<0x41>", kind: 6)]), "byte"),
      ("type 9", model(sound + [piece("x", kind: 9)]), "type 9"),
      ("no pieces", field(2, [0x18, 2]), "no pieces"),
      ("word model", sound.flatMap { $0 } + field(2, [0x18, 3]), "WORD"),
      ("model type 8", sound.flatMap { $0 } + field(2, [0x18, 8]), "type 8"),
      ("not UTF-8", model(sound + [field(1, field(1, [0xFF, 0xFE]))]), "UTF-8"),
      ("missing bytes", sound.flatMap { $0 } + field(2, [0x18, 2, 0x98, 0x02, 1]), "byte"),
      ("long varint", [0x08] + [UInt8](repeating: 0xFF, count: 11), "64 bits"),
      ("a gigabyte", [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07, 0x00], "left"),
      ("2^63 bytes", [0x0A] + [UInt8](repeating: 0xFF, count: 9) + [0x01], "left"),
      ("group", [0x0B], "wire type"), ("field 0", [0x00, 0x00], "field number"),
      ("cut", Array(model(sound).dropLast(1)), "left"), ("empty", [], "no pieces"),
    ]
    for (name, bytes, part) in cases {
      guard let fault = fault(bytes) else {
        Issue.record("\(name) was accepted")
        continue
      }
      #expect(fault.exitStatus == .badData, "\(name)")
      #expect(fault.message.contains(part), "\(name): \(fault.message)")
    }
  }

  @Test func everyTruncationAndManyBitFlips() throws {
    var generator = SeededGenerator(seed: 11)
    for name in ["bpe-user", "unigram-rules", "bpe-unused"] {
      let bytes = try SentencePieceGoldenTests.model(name)
      for length in stride(from: 0, to: bytes.count, by: 7) {
        tryOut(["tokenizer.model": Array(bytes[..<length])])
      }
      for _ in 0..<400 {
        var broken = bytes
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          let place = Int.random(in: 0..<bytes.count, using: &generator)
          broken[place] ^= UInt8.random(in: 1...255, using: &generator)
        }
        tryOut(["tokenizer.model": broken])
      }
    }
  }

  @Test func brokenTokenizerFiles() throws {
    var generator = SeededGenerator(seed: 12)
    let bytes = try InputFile.contents(of: Places.fixture("tiny-fable/tokenizer.json"))
    for _ in 0..<150 {
      var broken = bytes
      let place = Int.random(in: 0..<bytes.count, using: &generator)
      switch Int.random(in: 0..<3, using: &generator) {
      case 0: broken[place] = UInt8.random(in: 0...255, using: &generator)
      case 1: broken.removeSubrange(place..<min(bytes.count, place + 9))
      default: broken = Array(bytes[..<place])
      }
      tryOut(["tokenizer.json": broken])
    }
  }

  /// Loads what may be broken; what is accepted has to work.
  private func tryOut(_ files: [String: [UInt8]]) {
    do {
      let tokenizer = try Tokenizer.load(files: files)
      let text = "Once upon <X> a ﬁne é  day\n the cat ▁▁!"
      let ids = tokenizer.encode(text, addSpecialTokens: true)
      _ = try? tokenizer.decode(ids, skipSpecialTokens: false)
    } catch let fault as any Fault {
      #expect(fault.exitStatus == .badData)
    } catch {
      Issue.record("no fault but \(error)")
    }
  }
}
