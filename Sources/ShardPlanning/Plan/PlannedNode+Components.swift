import ModelArchitectures

extension PlannedNode {
  /// What the node executes, in order.
  public var components: [Component] {
    (holdsEmbedding ? [.embedding] : []) + layers.map { .block($0) } + (holdsHead ? [.head] : [])
  }
}
