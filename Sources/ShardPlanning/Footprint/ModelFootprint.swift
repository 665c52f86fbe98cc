/// What does not change about a model, whatever the plan.
public struct ModelFacts: Sendable, Equatable {
  /// Family name, such as "llama".
  public let family: String
  public let layerCount: Int
  public let hiddenSize: Int
  public let vocabularySize: Int
  /// Positions the model was made for.
  public let contextLength: Int

  public init(
    family: String, layerCount: Int, hiddenSize: Int, vocabularySize: Int, contextLength: Int
  ) {
    self.family = family
    self.layerCount = layerCount
    self.hiddenSize = hiddenSize
    self.vocabularySize = vocabularySize
    self.contextLength = contextLength
  }
}

/// What a run reserves memory for: the choices of a plan that decide its bytes.
public struct PlanSettings: Sendable, Equatable {
  /// Positions each sequence can hold.
  public var context: Int
  /// Sequences that can be in flight at once.
  public var sequences: Int
  /// Tokens that go through a node in one pass while a prompt is read.
  public var prefillChunk: Int
  /// Compute threads that the activations are sized for, per node.
  public var threads: Int

  public init(context: Int, sequences: Int = 1, prefillChunk: Int = 128, threads: Int = 8) {
    self.context = context
    self.sequences = sequences
    self.prefillChunk = prefillChunk
    self.threads = threads
  }

  public static let maximumContext = 1 << 24
  public static let maximumSequences = 1024
  public static let maximumPrefillChunk = 512
  public static let maximumThreads = 1024
  /// Context of a plan that names none, where the model has as much.
  public static let defaultContext = 4096
  public static let defaultPrefillChunk = 128
}

/// What one component of a model (embedding, one block, head) takes in memory and time.
public struct ComponentFootprint: Sendable, Equatable {
  /// Bytes of weights as they lie in memory for the kernels.
  public var weightBytes: Int
  /// Bytes of the key-value cache for all sequences; 0 for embedding and head.
  public var keyValueBytes: Int
  /// Weight bytes that one decoded token reads, by the scheme whose kernel reads them.
  public var readBytes: [String: Int]
  /// Cache bytes that one decoded token reads for each position before it.
  public var keyValueReadBytesPerPosition: Int
  /// Positions that attention looks back at most; nil for all.
  public var window: Int?
  /// Multiply-accumulates of the weights for one token.
  public var operations: Int
  /// Multiply-accumulates of attention for one token and one position it looks back at.
  public var operationsPerPosition: Int

  public init(
    weightBytes: Int, keyValueBytes: Int = 0, readBytes: [String: Int] = [:],
    keyValueReadBytesPerPosition: Int = 0, window: Int? = nil, operations: Int = 0,
    operationsPerPosition: Int = 0
  ) {
    self.weightBytes = weightBytes
    self.keyValueBytes = keyValueBytes
    self.readBytes = readBytes
    self.keyValueReadBytesPerPosition = keyValueReadBytesPerPosition
    self.window = window
    self.operations = operations
    self.operationsPerPosition = operationsPerPosition
  }

  /// Positions that attention reads when so many tokens stand before.
  public func attendedPositions(_ position: Int) -> Int { min(position, window ?? position) }

  /// Cache bytes read when a token at `position` (so many before it) is decoded.
  public func keyValueReadBytes(position: Int) -> Int {
    keyValueReadBytesPerPosition * attendedPositions(position)
  }
}

/// Bytes and work of a whole model at given settings: all that planner and ledger know about it.
public struct ModelFootprint: Sendable, Equatable {
  public var facts: ModelFacts
  public var settings: PlanSettings
  public var embedding: ComponentFootprint
  /// One for each block, in order; they may differ (mixed recipes, windows).
  public var layers: [ComponentFootprint]
  /// Final norm and head.
  public var head: ComponentFootprint
  /// Bytes that embedding and head share where one node holds both (tied weights).
  public var sharedBytes: Int
  /// Tokenizer in memory, on the node that holds the embedding.
  public var tokenizerBytes: Int
  /// Buffers of a forward pass on any node.
  public var activationBytes: Int
  /// Further buffers where the head is (logits, sampling).
  public var headActivationBytes: Int
  /// Chunks in flight while a node loads.
  public var loadBufferBytes: Int
  /// The process itself: program, libraries, stacks, frames.
  public var runtimeBytes: Int
  /// A token's hidden state on its way between nodes.
  public var hiddenStateBytes: Int

  /// - Parameter hiddenStateBytes: nil for four bytes an element.
  public init(
    facts: ModelFacts, settings: PlanSettings, embedding: ComponentFootprint,
    layers: [ComponentFootprint], head: ComponentFootprint, sharedBytes: Int,
    tokenizerBytes: Int, activationBytes: Int, headActivationBytes: Int, loadBufferBytes: Int,
    runtimeBytes: Int, hiddenStateBytes: Int? = nil
  ) {
    self.facts = facts
    self.settings = settings
    self.embedding = embedding
    self.layers = layers
    self.head = head
    self.sharedBytes = sharedBytes
    self.tokenizerBytes = tokenizerBytes
    self.activationBytes = activationBytes
    self.headActivationBytes = headActivationBytes
    self.loadBufferBytes = loadBufferBytes
    self.runtimeBytes = runtimeBytes
    self.hiddenStateBytes = hiddenStateBytes ?? 4 * facts.hiddenSize
  }

  /// Bytes of all weights, tied ones once.
  public var totalWeightBytes: Int {
    embedding.weightBytes + layers.reduce(0) { $0 + $1.weightBytes } + head.weightBytes
      - sharedBytes
  }
}

/// Something that knows a model's bytes at any settings: a real checkpoint, or a test's model.
public protocol FootprintSource: Sendable {
  var facts: ModelFacts { get }
  func footprint(for settings: PlanSettings) -> ModelFootprint
  /// The same model in fewer bits per weight, where it can be had; advice tries it.
  func withFewerBits() -> (source: any FootprintSource, bits: Int)?
}

extension FootprintSource {
  public func withFewerBits() -> (source: any FootprintSource, bits: Int)? { nil }
}
