import TensorCore

/// What bytes are for.
public enum LedgerKind: String, Sendable, CaseIterable {
  /// Weights of the blocks.
  case weights
  case embedding
  case head
  case keyValueCache = "key_value_cache"
  case activations
  case tokenizer
  /// Chunks of blobs in flight while the node loads, as far as caches and activations do not
  /// take their place afterwards.
  case loading
  /// The process itself: program, libraries, threads, frames between nodes.
  case runtime

  /// The kind in a sentence.
  public var words: String {
    switch self {
    case .keyValueCache: "KV cache"
    case .runtime: "process"
    default: rawValue
    }
  }
}

/// The memory of one node: what its process takes, kind by kind, and what there is.
///
/// Planner and loader make it with the same function, `ModelFootprint.ledger`.
public struct MemoryLedger: Sendable, Equatable {
  public struct Entry: Sendable, Equatable {
    public let kind: LedgerKind
    public let bytes: Int

    public init(kind: LedgerKind, bytes: Int) {
      self.kind = kind
      self.bytes = bytes
    }
  }

  /// Kinds with their bytes, in the order of `LedgerKind`, without those that are 0.
  public let entries: [Entry]
  /// Memory of the machine.
  public let ramBytes: Int
  /// What the operating system and other programs keep.
  public let reserveBytes: Int

  /// Precondition: `ramBytes >= reserveBytes >= 0`, entries not negative.
  public init(entries: [Entry], ramBytes: Int, reserveBytes: Int) {
    precondition(ramBytes >= reserveBytes && reserveBytes >= 0, "a reserve beyond the memory")
    precondition(entries.allSatisfy { $0.bytes >= 0 }, "a ledger entry below zero")
    self.entries = entries.filter { $0.bytes > 0 }
    self.ramBytes = ramBytes
    self.reserveBytes = reserveBytes
  }

  public subscript(kind: LedgerKind) -> Int {
    entries.first { $0.kind == kind }?.bytes ?? 0
  }

  /// What the node's process may take at most, by this ledger.
  public var total: Int { entries.reduce(0) { $0 + $1.bytes } }

  /// What the machine has for the process.
  public var capacity: Int { ramBytes - reserveBytes }

  /// Bytes left over; negative where it does not fit.
  public var headroom: Int { capacity - total }
}

extension ModelFootprint {
  /// The one estimator: bytes of a process that holds these parts of the model.
  public func ledger(
    layers range: Range<Int>, holdsEmbedding: Bool, holdsHead: Bool,
    ramBytes: Int, reserveBytes: Int
  ) -> MemoryLedger {
    let held = layers[range]
    var headBytes = holdsHead ? head.weightBytes : 0
    if holdsHead && holdsEmbedding { headBytes -= sharedBytes }
    let embeddingBytes = holdsEmbedding ? embedding.weightBytes : 0
    let weights = held.reduce(0) { $0 + $1.weightBytes }
    let caches = held.reduce(0) { $0 + $1.keyValueBytes }
    let activations = activationBytes + (holdsHead ? headActivationBytes : 0)
    return MemoryLedger(
      entries: [
        .init(kind: .weights, bytes: weights),
        .init(kind: .embedding, bytes: embeddingBytes),
        .init(kind: .head, bytes: headBytes),
        .init(kind: .keyValueCache, bytes: caches),
        .init(kind: .activations, bytes: activations),
        .init(kind: .tokenizer, bytes: holdsEmbedding ? tokenizerBytes : 0),
        .init(
          kind: .loading,
          bytes: loadingBytes(
            weights: weights + embeddingBytes + headBytes, later: caches + activations)),
        .init(kind: .runtime, bytes: runtimeBytes),
      ], ramBytes: ramBytes, reserveBytes: reserveBytes)
  }

  /// Bytes that loading takes beside the weights, beyond what is allocated after it.
  func loadingBytes(weights: Int, later: Int) -> Int {
    max(0, min(loadBufferBytes, ProcessBytes.chunkBuffers * weights) - later)
  }
}
