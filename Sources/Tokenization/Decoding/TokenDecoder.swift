import StrictJSON

/// One step of turning tokens into text.
enum DecodingStep: Sendable {
  /// Byte-level stand-ins to bytes, all to one text.
  case byteLevel
  case metaspace(mark: UInt32, dropsFirst: Bool)
  case replace(TextPattern, [UInt8])
  /// `<0x0A>` tokens in a row to the text their bytes make.
  case byteFallback
  case fuse
  case strip(UInt32, start: Int, stop: Int)
  /// The suffix that ends a word to a space, or to nothing at the end.
  case wordSuffix([UInt8])
}

/// The steps from tokens to text.
struct TokenDecoder: Sendable {
  let steps: [DecodingStep]
  /// What stands between tokens after the last step.
  let separator: [UInt8]

  /// Without a decoder the tokens are joined by spaces.
  static let none = TokenDecoder(steps: [], separator: [0x20])

  init(steps: [DecodingStep], separator: [UInt8] = []) {
    self.steps = steps
    self.separator = separator
  }

  init(_ value: JSONValue, file: String) throws(TokenizationFault) {
    steps = try Self.steps(value, file: file)
    separator = []
    guard growth <= Normalizer.maximumGrowth else {
      throw .malformed(file, "the decoder lets text grow without measure")
    }
  }

  /// How many bytes one byte of a token can become, at most, roughly.
  private var growth: Double {
    steps.reduce(1) { growth, step in
      guard case .replace(let pattern, let content) = step else { return growth }
      return growth * Normalizer.replace(pattern, content).growth
    }
  }

  private static func steps(
    _ value: JSONValue, file: String
  ) throws(TokenizationFault) -> [DecodingStep] {
    let reader = try ComponentReader(value, kind: "decoder", file: file)
    switch reader.type {
    case "Sequence":
      var steps: [DecodingStep] = []
      for part in try reader.array("decoders") { steps += try self.steps(part, file: file) }
      return steps
    case "ByteLevel": return [.byteLevel]
    case "Metaspace":
      let scheme = try MetaspaceScheme(reader)
      return [.metaspace(mark: scheme.mark, dropsFirst: scheme.prepending != .never)]
    case "Replace":
      return [.replace(try reader.pattern("pattern"), Array(try reader.string("content").utf8))]
    case "ByteFallback": return [.byteFallback]
    case "Fuse": return [.fuse]
    case "Strip":
      return [
        .strip(
          try reader.scalar("content"), start: try reader.count("start"),
          stop: try reader.count("stop"))
      ]
    case "BPEDecoder":
      let suffix = Array(try reader.string("suffix").utf8)
      guard !suffix.isEmpty else { throw reader.fault("has an empty suffix") }
      return [.wordSuffix(suffix)]
    case let type?: throw .unknownComponent("decoder", type, file: file)
    case nil: throw reader.fault("has no type")
    }
  }

  /// Fresh stages for one text, ordered from token to text.
  func makeStages() -> [DecodingStage] {
    var isFused = false
    return steps.map { step in
      defer {
        switch step {
        case .byteLevel, .fuse: isFused = true
        default: break
        }
      }
      return DecodingStage(step, isFused: isFused)
    }
  }
}
