/// A part of a model that is stored, shipped and executed as a unit.
public enum Component: Hashable, Sendable, Comparable {
  /// Token (and position) embedding.
  case embedding
  /// One transformer block, counted from 0.
  case block(Int)
  /// Final norm and language-model head.
  case head

  /// `embedding`, `block-0` … or `head`.
  public var name: String {
    switch self {
    case .embedding: "embedding"
    case .block(let layer): "block-\(layer)"
    case .head: "head"
    }
  }

  /// The component of that name; nil where there is none (`block-01` is not a name).
  public init?(name: String) {
    switch name {
    case "embedding": self = .embedding
    case "head": self = .head
    default:
      guard name.hasPrefix("block-"), let layer = Int(name.dropFirst(6)), layer >= 0,
        name == "block-\(layer)"
      else { return nil }
      self = .block(layer)
    }
  }

  private var rank: Int {
    switch self {
    case .embedding: -1
    case .block(let layer): layer
    case .head: Int.max
    }
  }

  /// The order of execution.
  public static func < (left: Component, right: Component) -> Bool { left.rank < right.rank }

  /// All components of a model with that many blocks, in the order of execution.
  public static func all(layerCount: Int) -> [Component] {
    [.embedding] + (0..<layerCount).map { .block($0) } + [.head]
  }
}
