import StrictJSON

/// Vocabulary and merges as they are read, from `tokenizer.json` or from files of their own.
struct BytePairFile {
  let file: String
  private(set) var vocabulary: Vocabulary
  /// The sides of all merges one after the other, and where each begins.
  private var sides: [UInt8] = []
  private var starts: [Int] = [0]

  init(file: String, byteCount: Int) {
    self.file = file
    vocabulary = Vocabulary(sourceByteCount: byteCount)
  }

  private var mergeCount: Int { (starts.count - 1) / 2 }

  // MARK: - Vocabulary

  /// Reads an object of tokens and their ids.
  mutating func readVocabulary(_ reader: inout JSONReader) throws {
    try reader.beginObject()
    while let token = try reader.nextName() {
      guard let id = try reader.readNumber().int else {
        throw fault("the token \(Excerpt.quoted(token)) has an id that is no whole number")
      }
      try add(token, id)
    }
  }

  private mutating func add(_ token: String, _ id: Int) throws(TokenizationFault) {
    guard let refusal = vocabulary.add(Array(token.utf8), id: id) else { return }
    let name = Excerpt.quoted(token)
    switch refusal {
    case .repeatedToken: throw fault("the token \(name) stands twice in the vocabulary")
    case .repeatedID:
      let other = vocabulary.token(Int32(id)).map { String(decoding: $0, as: UTF8.self) } ?? ""
      throw fault("the tokens \(Excerpt.quoted(other)) and \(name) have the same id \(id)")
    case .idOutOfRange: throw fault("the token \(name) has the id \(id), which is out of range")
    case .tooLong: throw fault("a token has \(token.utf8.count) bytes")
    }
  }

  private func fault(_ what: String) -> TokenizationFault { .malformed(file, what) }

  // MARK: - Merges

  /// Reads an array of merges, each "a b" or ["a", "b"].
  mutating func readMerges(_ reader: inout JSONReader) throws {
    try reader.beginArray()
    while try reader.nextElement() {
      switch try reader.nextKind() {
      case .string: try addMerge(line: Array(try reader.readString().utf8)[...])
      case .array:
        var count = 0
        try reader.beginArray()
        while try reader.nextElement() {
          guard count < 2, try reader.nextKind() == .string else { throw badMerge("no pair") }
          addSide(try reader.readString().utf8)
          count += 1
        }
        guard count == 2 else { throw badMerge("no pair") }
      default: throw badMerge("neither a string nor a pair")
      }
    }
  }

  /// Reads the lines of a `merges.txt`.
  mutating func readMerges(_ bytes: [UInt8]) throws(TokenizationFault) {
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
      if !line.isEmpty { try addMerge(line: line) }
    }
  }

  private mutating func addMerge(line: ArraySlice<UInt8>) throws(TokenizationFault) {
    if line.starts(with: "#version".utf8) { return }
    let parts = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
    guard parts.count == 2 else { throw badMerge("not two tokens with a space between") }
    addSide(parts[0])
    addSide(parts[1])
  }

  private mutating func addSide(_ side: some Sequence<UInt8>) {
    sides.append(contentsOf: side)
    starts.append(sides.count)
  }

  private func badMerge(_ what: String) -> TokenizationFault {
    fault("merge \(mergeCount) is \(what)")
  }

  // MARK: - Model

  /// The model, with every merge resolved to ids.
  func makeModel(_ options: BytePairModel.Options) throws(TokenizationFault) -> BytePairModel {
    var merges = MergeTable(capacity: mergeCount)
    var joining: Set<UInt32> = []
    var union: [UInt8] = []
    for index in 0..<mergeCount {
      let (start, middle, end) = (starts[2 * index], starts[2 * index + 1], starts[2 * index + 2])
      let left = try id(start, middle, of: index)
      let right = try id(middle, end, of: index)
      union.removeAll(keepingCapacity: true)
      union.append(contentsOf: sides[start..<middle])
      union.append(contentsOf: sides[middle..<end].dropFirst(options.continuingPrefix.count))
      guard let result = vocabulary.id(of: union) else {
        let name = Excerpt.quoted(String(decoding: union, as: UTF8.self))
        throw fault("merge \(index) makes \(name), which is no token")
      }
      merges.insert(left, right, MergeTable.Merge(rank: UInt32(index), result: result))
      if middle > start, sides[middle..<end].starts(with: MetaspaceBoundary.markBytes) {
        joining.insert(UTF8Text.scalar(sides, before: middle).value)
      }
    }
    let hasMark = vocabulary.id(of: MetaspaceBoundary.markBytes) != nil
    let isPlain = options.continuingPrefix.isEmpty && options.wordSuffix.isEmpty
    return BytePairModel(
      vocabulary: vocabulary, merges: merges, options: options,
      boundary: MetaspaceBoundary(isOn: hasMark && isPlain, joining: joining))
  }

  private func id(_ start: Int, _ end: Int, of merge: Int) throws(TokenizationFault) -> Int32 {
    if let id = vocabulary.id(sides.span, start, end) { return id }
    let name = Excerpt.quoted(String(decoding: sides[start..<end], as: UTF8.self))
    throw fault("merge \(merge) names \(name), which is no token")
  }
}
