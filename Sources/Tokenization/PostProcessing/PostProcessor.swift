import StrictJSON

/// What is put around the ids of a text where special tokens are wanted.
struct PostProcessor: Sendable {
  /// A place of the result.
  enum Item: Sendable, Equatable {
    case text
    case id(Int32)
  }

  let items: [Item]

  static let none = PostProcessor(items: [.text])

  init(items: [Item]) { self.items = items }

  init(_ value: JSONValue, file: String) throws(TokenizationFault) {
    // Each processor sees the parts that the one before it left; the first is sequence A.
    var parts: [[Item]] = [[.text]]
    try Self.apply(value, &parts, file: file)
    items = parts.flatMap { $0 }
  }

  /// Places of the result beyond this are refused: processors one behind the other multiply them.
  private static let maximumItemCount = 256

  private static func apply(
    _ value: JSONValue, _ parts: inout [[Item]], file: String
  ) throws(TokenizationFault) {
    let reader = try ComponentReader(value, kind: "post-processor", file: file)
    switch reader.type {
    case "ByteLevel": break
    case "Sequence":
      for processor in try reader.array("processors") { try apply(processor, &parts, file: file) }
    case "TemplateProcessing": try applyTemplate(reader, &parts)
    case "RobertaProcessing", "BertProcessing":
      let first = try pairID(reader, "cls")
      let last = try pairID(reader, "sep")
      parts = [[.id(first)] + parts.flatMap { $0 } + [.id(last)]]
    case let type?: throw .unknownComponent("post-processor", type, file: file)
    case nil: throw reader.fault("has no type")
    }
    guard parts.reduce(0, { $0 + $1.count }) <= maximumItemCount else {
      throw reader.fault("puts more than \(maximumItemCount) parts together")
    }
  }

  private static func applyTemplate(
    _ reader: ComponentReader, _ parts: inout [[Item]]
  ) throws(TokenizationFault) {
    var result: [[Item]] = []
    for piece in try reader.array("single") {
      if let token = piece["SpecialToken"]?["id"]?.string {
        guard let ids = reader.object["special_tokens"]?[token]?["ids"]?.array else {
          throw reader.fault("uses the special token \(Excerpt.quoted(token)) without defining it")
        }
        var items: [Item] = []
        for id in ids {
          guard let id = id.int, id >= 0, id <= Int32.max else {
            throw reader.fault("has an id of \(Excerpt.quoted(token)) that is no id")
          }
          items.append(.id(Int32(id)))
        }
        result.append(items)
      } else {
        guard let sequence = piece["Sequence"]?["id"]?.string else {
          throw reader.fault("has a template with a piece that is neither token nor sequence")
        }
        let index = sequence == "A" ? 0 : 1
        guard index < parts.count else {
          throw reader.fault("has a template for one text that asks for a second")
        }
        result.append(parts[index])
      }
      guard result.count <= maximumItemCount else {
        throw reader.fault("puts more than \(maximumItemCount) parts together")
      }
    }
    parts = result
  }

  private static func pairID(
    _ reader: ComponentReader, _ name: String
  ) throws(TokenizationFault) -> Int32 {
    guard let pair = reader.object[name]?.array, pair.count == 2, let id = pair[1].int, id >= 0,
      id <= Int32.max
    else { throw reader.fault("has no \(name) of the form [token, id]") }
    return Int32(id)
  }

  /// The ids of a text with what belongs around them; a template that drops or repeats the text
  /// is followed even where no special tokens are wanted.
  func process(_ ids: [Int32], addSpecialTokens: Bool) -> [Int32] {
    let items = addSpecialTokens ? items : items.filter { $0 == .text }
    if items == [.text] { return ids }
    var result: [Int32] = []
    result.reserveCapacity(ids.count + items.count)
    for item in items {
      switch item {
      case .text: result.append(contentsOf: ids)
      case .id(let id): result.append(id)
      }
    }
    return result
  }
}
