/// The cleaning that BERT's tokenizers do.
struct BertNormalization: Sendable {
  private let cleansText: Bool
  private let separatesChinese: Bool
  private let stripsAccents: Bool
  private let lowercases: Bool

  init(_ reader: ComponentReader) throws(TokenizationFault) {
    cleansText = try reader.bool("clean_text", default: true)
    separatesChinese = try reader.bool("handle_chinese_chars", default: true)
    lowercases = try reader.bool("lowercase", default: true)
    stripsAccents = try reader.bool("strip_accents", default: lowercases)
  }

  func normalize(_ text: [UInt8]) -> [UInt8] {
    var result = text
    if cleansText { result = Normalizer.map(result, clean) }
    if separatesChinese {
      result = Normalizer.map(result) { scalar, result in
        let isChinese = Self.chinese.contains { $0.contains(scalar) }
        if isChinese { result.append(0x20) }
        UTF8Text.append(scalar, to: &result)
        if isChinese { result.append(0x20) }
      }
    }
    if stripsAccents {
      result = Normalizer.map(UnicodeNormalization(.NFD).normalize(result)) { scalar, result in
        if !GeneralCategories.shared.contains(CategorySet(.Mn), scalar) {
          UTF8Text.append(scalar, to: &result)
        }
      }
    }
    return lowercases ? Normalizer.lowercase(result) : result
  }

  private func clean(_ scalar: UInt32, _ result: inout [UInt8]) {
    switch scalar {
    case 0x09, 0x0A, 0x0D: result.append(0x20)
    case 0, 0xFFFD: break
    default:
      if GeneralCategories.shared.contains(Self.control, scalar) { return }
      let isSpace = GeneralCategories.shared.contains(.whiteSpace, scalar)
      UTF8Text.append(isSpace ? 0x20 : scalar, to: &result)
    }
  }

  private static let control = CategorySet([.Cc, .Cf, .Cs, .Co, .whiteSpaceControl])
  private static let chinese: [ClosedRange<UInt32>] = [
    0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
    0x2B920...0x2CEAF, 0xF900...0xFAFF, 0x2F800...0x2FA1F,
  ]
}
