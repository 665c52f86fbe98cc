import StrictJSON

/// Cuts text into the words that the model encodes one by one.
indirect enum PreTokenizer: Sendable {
  case sequence([PreTokenizer])
  case byteLevel(addsPrefixSpace: Bool, usesRegex: Bool)
  case metaspace(MetaspaceScheme)
  case split(TextPattern, SplitBehavior, isInverted: Bool)
  /// Splits at scalars of a class.
  case scalars(ScalarSet, SplitBehavior)
  /// `\w+|[^\w\s]+`, the rest removed.
  case words
  case fixedLength(Int)

  private static let punctuation = ScalarSet.union([
    .categories(.punctuation),
    .ranges([0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E]),
  ])

  init(_ value: JSONValue, file: String) throws(TokenizationFault) {
    let reader = try ComponentReader(value, kind: "pre-tokenizer", file: file)
    switch reader.type {
    case "Sequence":
      var parts: [PreTokenizer] = []
      for part in try reader.array("pretokenizers") {
        parts.append(try PreTokenizer(part, file: file))
      }
      self = .sequence(parts)
    case "ByteLevel":
      self = .byteLevel(
        addsPrefixSpace: try reader.bool("add_prefix_space", default: true),
        usesRegex: try reader.bool("use_regex", default: true))
    case "Metaspace": self = .metaspace(try MetaspaceScheme(reader))
    case "Split":
      self = .split(
        try reader.pattern("pattern"), try reader.behavior("behavior"),
        isInverted: try reader.bool("invert", default: false))
    case "Digits":
      let isIndividual = try reader.bool("individual_digits", default: false)
      self = .scalars(.categories(.number), isIndividual ? .isolated : .contiguous)
    case "Punctuation":
      self = .scalars(Self.punctuation, try reader.behavior("behavior", default: .isolated))
    case "Whitespace": self = .words
    case "WhitespaceSplit": self = .scalars(.space, .removed)
    case "BertPreTokenizer":
      self = .sequence([.scalars(.space, .removed), .scalars(Self.punctuation, .isolated)])
    case "CharDelimiterSplit", "Delimiter":
      self = .scalars(.scalar(try reader.scalar("delimiter")), .removed)
    case "FixedLength":
      let length = try reader.count("length")
      guard length > 0 else { throw reader.fault("has a length of 0") }
      self = .fixedLength(length)
    case let type?: throw .unknownComponent("pre-tokenizer", type, file: file)
    case nil: throw reader.fault("has no type")
    }
  }

  /// The steps in order, sequences flattened.
  var steps: [PreTokenizer] {
    if case .sequence(let parts) = self { return parts.flatMap(\.steps) }
    return [self]
  }

  /// How many bytes one byte of text can become, at most, roughly.
  var growth: Double {
    switch self {
    case .sequence(let parts): return parts.reduce(1) { $0 * $1.growth }
    case .byteLevel: return 2
    case .metaspace: return 3
    case .split, .scalars, .words, .fixedLength: return 1
    }
  }

  /// Applies the step; byte-level text is written with its stand-ins.
  func apply(_ pieces: inout Pieces) {
    switch self {
    case .sequence(let parts): for part in parts { part.apply(&pieces) }
    case .byteLevel:
      applyBeforeBytes(&pieces)
      pieces.rewrite { _, text, result in
        for byte in text { UTF8Text.append(ByteLevelAlphabet.scalars[Int(byte)], to: &result) }
      }
    case .metaspace(let scheme): scheme.apply(&pieces)
    case .split(.words(let scanner), .isolated, _):
      pieces.cut { text, start, end, list in scanner.cut(text, start, end, into: &list) }
    case .split(let pattern, let behavior, let isInverted):
      let bytes = pieces.bytes
      pieces.cut { _, start, end, list in
        var splitter = PieceSplitter(behavior, isInverted: isInverted, start: start)
        pattern.forEachMatch(bytes, start, end) { splitter.match($0, $1) }
        splitter.finish(end, into: &list)
      }
    case .scalars(let set, let behavior): Self.split(&pieces, CompiledScalarSet(set), behavior)
    case .words: Self.splitWords(&pieces)
    case .fixedLength(let length): Self.cut(&pieces, every: length)
    }
  }

  /// What a byte-level step does before it writes bytes as their stand-ins.
  func applyBeforeBytes(_ pieces: inout Pieces) {
    guard case .byteLevel(let addsPrefixSpace, let usesRegex) = self else { return }
    if addsPrefixSpace {
      pieces.rewrite { _, text, result in
        if text.first != UInt8(ascii: " ") { result.append(UInt8(ascii: " ")) }
        result.append(contentsOf: text)
      }
    }
    if usesRegex {
      let scanner = WordScanner(.gpt2)
      pieces.cut { text, start, end, list in scanner.cut(text, start, end, into: &list) }
    }
  }

  private static func split(
    _ pieces: inout Pieces, _ set: CompiledScalarSet, _ behavior: SplitBehavior
  ) {
    pieces.cut { text, start, end, list in
      var splitter = PieceSplitter(behavior, isInverted: false, start: start)
      var offset = start
      while offset < end {
        let (scalar, length) = UTF8Text.scalar(text, offset)
        if set.contains(scalar) { splitter.match(offset, offset + length) }
        offset += length
      }
      splitter.finish(end, into: &list)
    }
  }

  private static func splitWords(_ pieces: inout Pieces) {
    let word = CompiledScalarSet(RustWord.set)
    let space = CompiledScalarSet(.space)
    pieces.cut { text, start, end, list in
      // 0: white space, 1: word, 2: other.
      var current = 0
      var begin = start
      var offset = start
      while offset < end {
        let (scalar, length) = UTF8Text.scalar(text, offset)
        let kind = word.contains(scalar) ? 1 : space.contains(scalar) ? 0 : 2
        if kind != current {
          if current != 0 { list.append(begin, offset) }
          current = kind
          begin = offset
        }
        offset += length
      }
      if current != 0 { list.append(begin, end) }
    }
  }

  private static func cut(_ pieces: inout Pieces, every length: Int) {
    pieces.cut { text, start, end, list in
      var begin = start
      var offset = start
      var count = 0
      while offset < end {
        offset += UTF8Text.length(firstByte: text[offset])
        count += 1
        if count == length {
          list.append(begin, offset)
          begin = offset
          count = 0
        }
      }
      list.append(begin, end)
    }
  }
}

/// `\w` of Rust's regex crate, which some components use.
enum RustWord {
  static let set = ScalarSet.union([
    .categories([.letter, .mark, CategorySet([.Nd, .Nl, .Pc])]),
    .ranges(ScalarSet.circledLetters),
    .ranges([0x200C...0x200D]),
  ])
}
