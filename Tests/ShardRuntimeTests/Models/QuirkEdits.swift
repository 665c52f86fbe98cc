/// What a program would compute that does not know a family's peculiarity, expressed as another
/// checkpoint: the weights are rearranged so that the right program computes the wrong thing.
extension EditableCheckpoint {
  private var heads: Int { count("num_attention_heads", "n_head") }
  private var hidden: Int { count("hidden_size", "n_embd") }
  private var headDimension: Int { configuration["head_dim"]?.int ?? hidden / heads }

  /// Query head h takes key-value head h mod n instead of ⌊h / group⌋.
  mutating func shareKeysRoundRobin(
    query: String = "q_proj", output: String = "o_proj"
  ) throws {
    let dimension = headDimension
    let keyValueHeads = count("num_key_value_heads")
    let order = (0..<heads).sorted {
      ($0 % keyValueHeads, $0) < ($1 % keyValueHeads, $1)
    }.flatMap { head in (0..<dimension).map { head * dimension + $0 } }
    try change(query + ".weight") { $0.reorderRows(order) }
    try change(output + ".weight") { $0.reorderColumns(order) }
    if tensors.keys.contains(where: { $0.hasSuffix(query + ".bias") }) {
      try change(query + ".bias") { $0.reorderRows(order) }
    }
  }

  /// Pairs of rotating channels are halves where they should be neighbours.
  mutating func rotateHalves(dimensions: Int) throws {
    try reorderRotating(dimensions) { place in
      place % 2 == 0 ? place / 2 : place / 2 + dimensions / 2
    }
  }

  /// Pairs of rotating channels are neighbours where they should be halves.
  mutating func rotateNeighbours(dimensions: Int) throws {
    try reorderRotating(dimensions) { place in
      place < dimensions / 2 ? 2 * place : 2 * (place - dimensions / 2) + 1
    }
  }

  private mutating func reorderRotating(_ dimensions: Int, _ source: (Int) -> Int) throws {
    let width = headDimension
    for name in ["q_proj.weight", "k_proj.weight"] {
      try change(name) { tensor in
        tensor.reorderRows(
          (0..<tensor.rows).map { row in
            let place = row % width
            return place < dimensions ? row - place + source(place) : row
          })
      }
    }
  }

  /// Fused rows (columns where `transposed`) are q, k, v of each head in turn instead of all q,
  /// all k, all v.
  mutating func fusePerHead(_ ending: String, transposed: Bool = false) throws {
    try reorderFused(ending, transposed) { perHead, _ in perHead }
  }

  /// Fused rows are all q, all k, all v instead of q, k, v of each head in turn.
  mutating func fuseWhole(_ ending: String) throws {
    try reorderFused(ending, false) { _, whole in whole }
  }

  private mutating func reorderFused(
    _ ending: String, _ transposed: Bool, _ choose: ([Int], [Int]) -> [Int]
  ) throws {
    let (heads, dimension) = (heads, headDimension)
    var perHead: [Int] = []
    var whole = [Int](repeating: 0, count: 3 * heads * dimension)
    for part in 0..<3 {
      for head in 0..<heads {
        for channel in 0..<dimension {
          let interleaved = (3 * head + part) * dimension + channel
          whole[interleaved] = perHead.count
          perHead.append(interleaved)
        }
      }
    }
    let order = choose(perHead, whole)
    try change(ending + ".weight") {
      transposed ? $0.reorderColumns(order) : $0.reorderRows(order)
    }
    if tensors.keys.contains(where: { $0.hasSuffix(ending + ".bias") }) {
      try change(ending + ".bias") { $0.reorderRows(order) }
    }
  }

  /// Attention and feed-forward one after the other: each layer becomes two, of which the first
  /// adds attention only and the second feed-forward only.
  mutating func runPartsInTurn(layersKey: String, attention: String, feedForward: String) throws {
    var doubled: [String: Tensor] = [:]
    for (name, tensor) in tensors {
      var words = name.split(separator: ".").map(String.init)
      guard let place = words.firstIndex(where: { Int($0) != nil }), let layer = Int(words[place])
      else {
        doubled[name] = tensor
        continue
      }
      for half in 0..<2 {
        words[place] = String(2 * layer + half)
        var copy = tensor
        let silenced = half == 0 ? feedForward : attention
        if words.dropLast().joined(separator: ".").hasSuffix(silenced) { copy.fill(0) }
        doubled[words.joined(separator: ".")] = copy
      }
    }
    configuration[layersKey] = .init(2 * count(layersKey))
    tensors = doubled
  }

  /// The head is a matrix of its own: another one than the embedding.
  mutating func untie(
    embedding: String = "model.embed_tokens.weight", head: String = "lm_head.weight"
  ) throws {
    configuration["tie_word_embeddings"] = false
    guard var tensor = tensors[embedding] else { throw NoSuchTensor(ending: embedding) }
    tensor.values.reverse()
    tensors[head] = tensor
  }

  /// The embedding without its factor √hidden, the head as it was.
  mutating func embedUnscaled() throws {
    let embedding = "model.embed_tokens.weight"
    configuration["tie_word_embeddings"] = false
    tensors["lm_head.weight"] = tensors[embedding]
    let factor = 1 / Float(hidden).squareRoot()
    try change(embedding) { $0.scale(by: factor) }
  }

  /// Norm weights count as w where they should count as 1 + w.
  mutating func subtractOneFromNorms() throws {
    try change("norm.weight") { tensor in tensor.values = tensor.values.map { $0 - 1 } }
  }

  /// Exchanges two tensors in every layer.
  mutating func exchange(_ first: String, _ second: String) throws {
    let names = tensors.keys.filter { $0.hasSuffix(first) }
    guard !names.isEmpty else { throw NoSuchTensor(ending: first) }
    for name in names {
      let other = name.dropLast(first.count) + second
      let tensor = tensors[name]
      tensors[name] = tensors[String(other)]
      tensors[String(other)] = tensor
    }
  }

  /// `rope_scaling` or `rope_parameters` with some members replaced.
  mutating func changeRope(_ changes: [(String, Double?)]) {
    let key = configuration["rope_parameters"] != nil ? "rope_parameters" : "rope_scaling"
    var rope = configuration[key]?.object ?? [:]
    for (name, value) in changes { rope[name] = value.map { .double($0) } }
    configuration[key] = .object(rope)
  }
}
