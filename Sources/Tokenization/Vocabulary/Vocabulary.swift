/// The tokens of a model: text to id and back.
struct Vocabulary: Sendable {
  private var table = ByteStringTable()
  /// The id of each entry of the table.
  private var ids: [Int32] = []
  /// The entry of each id; -1 where the id has none.
  private var entries: [Int32] = []

  /// Ids beyond this are refused, so that a small file cannot ask for a large table.
  private let maximumID: Int
  /// Tokens longer than this belong to no tokenizer.
  static let maximumTokenByteCount = 1 << 16

  /// - Parameter sourceByteCount: the length of the file the tokens come from.
  init(sourceByteCount: Int) { maximumID = min(1 << 24, sourceByteCount + 1 << 16) }

  /// How many tokens there are.
  var count: Int { ids.count }

  /// One more than the largest id.
  var idLimit: Int { entries.count }

  mutating func reserve(_ tokens: Int) { table.reserve(tokens, byteCount: tokens * 8) }

  /// Why a token was not added.
  enum Refusal { case repeatedToken, repeatedID, idOutOfRange, tooLong }

  /// Adds a token; nil where all is well.
  mutating func add(_ token: some Collection<UInt8>, id: Int) -> Refusal? {
    guard token.count <= Self.maximumTokenByteCount else { return .tooLong }
    guard id >= 0, id <= maximumID else { return .idOutOfRange }
    if id < entries.count, entries[id] >= 0 { return .repeatedID }
    guard let entry = table.insert(token) else { return .repeatedToken }
    ids.append(Int32(id))
    if id >= entries.count {
      entries.append(contentsOf: repeatElement(-1, count: id + 1 - entries.count))
    }
    entries[id] = Int32(entry)
    return nil
  }

  func id(of token: [UInt8]) -> Int32? { table.find(token).map { ids[$0] } }

  @inline(__always)
  func id(_ text: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Int32? {
    table.find(text, start, end).map { ids[$0] }
  }

  /// The bytes of a token.
  func token(_ id: Int32) -> ArraySlice<UInt8>? {
    guard id >= 0, Int(id) < entries.count, entries[Int(id)] >= 0 else { return nil }
    return table[Int(entries[Int(id)])]
  }

  /// Every token with its id, in the order they were added.
  var tokens: some Sequence<(token: ArraySlice<UInt8>, id: Int32)> {
    (0..<count).lazy.map { (table[$0], ids[$0]) }
  }
}
