import StrictJSON
import Testing
import Tokenization

/// One text, or one list of ids, with what another library makes of it; absent members are not
/// compared.
struct GoldenCase {
  var text: String?
  var ids: [Int32]?
  var idsWithSpecial: [Int32]?
  /// What to decode; `ids` where nil.
  var decoded: String?
  var decodeIDs: [Int32]?
  var skipped: String?

  static func ids(_ value: JSONValue?) -> [Int32]? {
    value?.array?.compactMap { $0.int.flatMap { Int32(exactly: $0) } }
  }

  /// How many comparisons were made, and what differed.
  struct Outcome {
    var comparisons = 0
    var differences: [String] = []

    mutating func compare<Value: Equatable>(
      _ expected: Value?, _ what: String, _ found: () throws -> Value
    ) {
      guard let expected else { return }
      comparisons += 1
      do {
        let found = try found()
        if found != expected { differences.append("\(what): \(found), expected \(expected)") }
      } catch {
        differences.append("\(what): \(error), expected \(expected)")
      }
    }
  }

  func check(_ tokenizer: Tokenizer, _ label: String, _ outcome: inout Outcome) {
    if let text {
      outcome.compare(ids, "\(label) \(text.debugDescription) ids") {
        tokenizer.encode(text, addSpecialTokens: false)
      }
      outcome.compare(idsWithSpecial, "\(label) \(text.debugDescription) with special") {
        tokenizer.encode(text, addSpecialTokens: true)
      }
    }
    guard let decodeIDs = decodeIDs ?? ids else { return }
    // Strings are compared by their bytes: canonical equivalence would hide differences.
    outcome.compare(decoded.map { Array($0.utf8) }, "\(label) \(decodeIDs) decoded") {
      Array(try tokenizer.decode(decodeIDs, skipSpecialTokens: false).utf8)
    }
    outcome.compare(skipped.map { Array($0.utf8) }, "\(label) \(decodeIDs) skipped") {
      Array(try tokenizer.decode(decodeIDs, skipSpecialTokens: true).utf8)
    }
    outcome.compare(decoded.map { Array($0.utf8) }, "\(label) \(decodeIDs) streamed") {
      streamed(tokenizer, decodeIDs)
    }
  }

  private func streamed(_ tokenizer: Tokenizer, _ ids: [Int32]) -> [UInt8] {
    var decoder = tokenizer.makeStreamDecoder(skipSpecialTokens: false)
    var text = ""
    for id in ids { text += decoder.feed(id) }
    return Array((text + decoder.finish()).utf8)
  }
}

/// Fails a test with the first few differences.
func expectNone(_ outcome: GoldenCase.Outcome, _ name: String) {
  if !outcome.differences.isEmpty {
    let shown = outcome.differences.prefix(5).joined(separator: "\n")
    Issue.record("\(name): \(outcome.differences.count) differences\n\(shown)")
  }
}
