import ModelArchitectures

extension PlannedNode {
  /// What the node holds, in the order of execution.
  public var components: [Component] {
    (holdsEmbedding ? [.embedding] : []) + layers.map { .block($0) } + (holdsHead ? [.head] : [])
  }
}

extension ShardPlan {
  /// Positions each sequence can hold.
  public var context: Int { settings.context }
  /// Sequences that can be in flight at once.
  public var sequences: Int { settings.sequences }
  /// Tokens that go through a node in one pass while a prompt is read.
  public var prefillChunk: Int { settings.prefillChunk }
}
