import StrictJSON

/// Rewrites text before it is cut into words.
indirect enum Normalizer: Sendable {
  case sequence([Normalizer])
  case unicode(UnicodeNormalization)
  case lowercase
  case prepend([UInt8])
  case replace(TextPattern, [UInt8])
  case strip(left: Bool, right: Bool)
  case stripAccents
  /// Control characters out, odd spaces to U+0020, as in neural machine translation.
  case nmt
  case byteLevel
  case characterMap(CharacterMap)
  case bert(BertNormalization)

  init(_ value: JSONValue, file: String) throws(TokenizationFault) {
    let reader = try ComponentReader(value, kind: "normalizer", file: file)
    switch reader.type {
    case "Sequence":
      var parts: [Normalizer] = []
      for part in try reader.array("normalizers") {
        parts.append(try Normalizer(part, file: file))
      }
      self = .sequence(parts)
    case "NFC": self = .unicode(UnicodeNormalization(.NFC))
    case "NFD": self = .unicode(UnicodeNormalization(.NFD))
    case "NFKC": self = .unicode(UnicodeNormalization(.NFKC))
    case "NFKD": self = .unicode(UnicodeNormalization(.NFKD))
    case "Lowercase": self = .lowercase
    case "Prepend": self = .prepend(Array(try reader.string("prepend").utf8))
    case "Replace":
      self = .replace(try reader.pattern("pattern"), Array(try reader.string("content").utf8))
    case "Strip":
      self = .strip(
        left: try reader.bool("strip_left", default: true),
        right: try reader.bool("strip_right", default: true))
    case "StripAccents": self = .stripAccents
    case "Nmt": self = .nmt
    case "ByteLevel": self = .byteLevel
    case "BertNormalizer": self = .bert(try BertNormalization(reader))
    case "Precompiled":
      guard let blob = Base64.decode(try reader.string("precompiled_charsmap")) else {
        throw reader.fault("has a precompiled_charsmap that is no base64")
      }
      self = .characterMap(try CharacterMap(blob, file: file))
    case let type?: throw .unknownComponent("normalizer", type, file: file)
    case nil: throw reader.fault("has no type")
    }
  }

  func normalize(_ text: [UInt8]) -> [UInt8] {
    switch self {
    case .sequence(let parts): return parts.reduce(text) { $1.normalize($0) }
    case .unicode(let form): return form.normalize(text)
    case .lowercase: return Self.lowercase(text)
    case .prepend(let prefix): return text.isEmpty ? text : prefix + text
    case .replace(let pattern, let content): return pattern.replacing(text, with: content)
    case .strip(let left, let right): return Self.strip(text, left: left, right: right)
    case .stripAccents:
      return Self.map(text) { scalar, result in
        if !GeneralCategories.shared.contains(.mark, scalar) {
          UTF8Text.append(scalar, to: &result)
        }
      }
    case .nmt: return Self.map(text, Self.nmt)
    case .byteLevel: return ByteLevelAlphabet.encode(text)
    case .characterMap(let map): return map.normalizeByGrapheme(text)
    case .bert(let bert): return bert.normalize(text)
    }
  }

  /// Whether the text loses its first scalar, so that what is left no longer begins the input.
  func dropsStart(of text: [UInt8]) -> Bool {
    switch self {
    case .sequence(let parts): return parts.contains { $0.dropsStart(of: text) }
    case .strip(left: true, _):
      return !text.isEmpty
        && GeneralCategories.shared.contains(.whiteSpace, UTF8Text.scalar(text, 0).value)
    default: return false
    }
  }

  /// How many bytes one byte of text can become, at most, roughly.
  var growth: Double {
    switch self {
    case .sequence(let parts): return parts.reduce(1) { $0 * $1.growth }
    case .replace(.literal(let wanted), let content):
      return max(1, Double(content.count) / Double(wanted.count))
    case .replace(_, let content): return Double(content.count) + 1
    case .unicode: return 12
    case .characterMap(let map): return Double(max(12, map.longestReplacement))
    case .prepend(let prefix): return Double(prefix.count) + 1
    case .lowercase, .byteLevel, .bert: return 3
    case .strip, .stripAccents, .nmt: return 1
    }
  }

  /// A normalizer that lets text grow more than this is refused.
  static let maximumGrowth = 1e4

  /// Calls the body for each scalar.
  static func map(_ text: [UInt8], _ body: (UInt32, inout [UInt8]) -> Void) -> [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    var offset = 0
    while offset < text.count {
      let (scalar, length) = UTF8Text.scalar(text, offset)
      body(scalar, &result)
      offset += length
    }
    return result
  }

  static func lowercase(_ text: [UInt8]) -> [UInt8] {
    map(text) { value, result in
      switch value {
      case 0x41...0x5A: result.append(UInt8(value + 0x20))
      case ..<0x80: result.append(UInt8(value))
      default:
        guard let scalar = Unicode.Scalar(value) else { return }
        result.append(contentsOf: scalar.properties.lowercaseMapping.utf8)
      }
    }
  }

  private static func strip(_ text: [UInt8], left: Bool, right: Bool) -> [UInt8] {
    var start = 0
    var end = text.count
    while left, start < end {
      let (scalar, length) = UTF8Text.scalar(text, start)
      guard GeneralCategories.shared.contains(.whiteSpace, scalar) else { break }
      start += length
    }
    while right, end > start {
      let (scalar, length) = UTF8Text.scalar(text, before: end)
      guard GeneralCategories.shared.contains(.whiteSpace, scalar) else { break }
      end -= length
    }
    return Array(text[start..<end])
  }

  private static func nmt(_ scalar: UInt32, _ result: inout [UInt8]) {
    switch scalar {
    case 0x01...0x08, 0x0B, 0x0E...0x1F, 0x7F, 0x8F, 0x9F: break
    case 0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B...0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD:
      result.append(0x20)
    default: UTF8Text.append(scalar, to: &result)
    }
  }
}
