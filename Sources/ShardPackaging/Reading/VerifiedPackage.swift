import ModelArchitectures
import Quantization
import ShardPlanning
import StrictJSON
import TensorCore
import TensorKernels

/// A bundle, or one node's part of it, whose manifest was checked: the only way to a bundle's
/// bytes.
///
/// `open` is the only way to make one, and every byte it hands out comes from a chunk whose
/// digests were checked after the bytes had reached memory of ours. Unverified bytes therefore
/// cannot be executed.
public final class VerifiedPackage: Sendable {
  /// The bundle directory, or the node directory.
  public let directory: String
  public let manifest: Manifest
  /// The node this package is for; of a whole bundle opened without a name, the first one.
  public let node: String
  /// Whether all components are in scope, not only those of `node`.
  public let isWholeBundle: Bool
  public let plan: ShardPlan
  public let configuration: JSONObject
  public let architecture: any ModelArchitecture
  /// config.json and the tokenizer's files by name.
  public let assets: [String: [UInt8]]
  /// Whether it comes from someone who is trusted.
  public let trust: TrustVerdict
  let requirement: TrustRequirement
  let store: BlobStore

  /// Nodes with another identity do not work together.
  public var bundleID: String { manifest.bundleID.description }
  /// In the order of the ring.
  public var nodeNames: [String] { manifest.nodes.map(\.name) }

  init(opening: PackageOpening) throws {
    directory = opening.directory
    manifest = opening.manifest
    node = opening.node
    isWholeBundle = opening.isWholeBundle
    store = opening.store
    trust = opening.trust
    requirement = opening.requirement
    let files = try opening.readFiles()
    plan = try opening.plan(files.plan)
    assets = files.model
    configuration = try opening.configuration(files.model[BundleFiles.configuration] ?? [])
    architecture = try opening.architecture(configuration)
  }

  /// Opens a bundle directory or `nodes/NAME/` of one.
  ///
  /// Checks the manifest (digest, canonical form, sums, coverage), that plan, configuration and
  /// manifest say the same, and that every blob in scope is there with its full length. Digests
  /// of weights are checked when they are read.
  ///
  /// - Parameters:
  ///   - node: which node of a bundle directory; nil for all.
  ///   - trust: whose signature the manifest has to bear.
  /// - Throws: `PackageFault`, `PlanFault`, `ArchitectureFault` or `FileFault`.
  public static func open(
    directory: String, node: String? = nil, trust: TrustRequirement = .off
  ) throws -> VerifiedPackage {
    try VerifiedPackage(
      opening: PackageOpening(directory: directory, node: node, requirement: trust))
  }

  /// The components in scope, in the order of execution.
  public var components: [Component] {
    isWholeBundle
      ? manifest.components.map(\.component) : manifest.node(node)?.components ?? []
  }

  /// All tensors of the model by name, whether in scope or not.
  public var tensors: [String: StoredTensor] {
    var tensors: [String: StoredTensor] = [:]
    for tensor in manifest.components.joined(\.tensors) {
      tensors[tensor.stored.name] = tensor.stored
    }
    return tensors
  }

  /// The tensors a component executes with, shared ones among them.
  public func tensors(of component: Component) -> [StoredTensor] {
    guard let entry = manifest.component(component) else { return [] }
    let shared = entry.shared.compactMap { name in
      manifest.owner(of: name)?.tensors.first { $0.stored.name == name }?.stored
    }
    return entry.tensors.map(\.stored) + shared
  }

  /// Reads the tensors of a component; see `readComponents`.
  public func readComponent(
    _ component: Component, pool: WorkerPool? = nil,
    _ body: (StoredTensor, _ plane: Int, _ offset: Int, RawSpan) throws -> Void
  ) throws {
    try readComponents([component], pool: pool, body)
  }

  /// Reads the tensors of some components, each tensor once, chunk by chunk: checks the stored
  /// digest, then decompresses, then checks the raw digest, then calls `body`.
  ///
  /// A chunk holds whole rows of one plane; `offset` counts bytes in the plane. Several threads
  /// call `body` at once, for different chunks, in no particular order. Memory in flight is at
  /// most `bytesInFlight(threads:)`.
  ///
  /// Throws: what is wrong with the first bad chunk (`PackageFault` names blob, tensor, offset).
  public func readComponents(
    _ components: [Component], pool: WorkerPool? = nil, progress: ProgressHandler? = nil,
    _ body: (StoredTensor, _ plane: Int, _ offset: Int, RawSpan) throws -> Void
  ) throws {
    let places = places(of: components)
    let meter = ProgressMeter(
      phase: "load", total: places.reduce(0) { $0 + $1.chunk.storedByteCount },
      handler: progress)
    // What is loaded stays; the buffers make room for caches and activations.
    defer { store.releaseBuffers() }
    try store.read(places, pool: pool) { index, bytes in
      let place = places[index]
      if case .plane(let tensor, let plane, _) = place.content {
        try body(tensor, plane, place.contentOffset, bytes)
      }
      meter.add(place.chunk.storedByteCount)
    }
    for component in components {
      if let blob = manifest.component(component)?.blob { store.close(blob) }
    }
  }

  /// The chunks of some components' tensors in the order of execution, each once.
  private func places(of components: [Component]) -> [ChunkPlace] {
    let wanted = Set(components)
    let shared = Set(
      manifest.components.filter { wanted.contains($0.component) }.joined(\.shared))
    return manifest.components.flatMap { entry in
      wanted.contains(entry.component)
        ? entry.places() : entry.places(where: shared.contains)
    }
  }

  /// The most memory that reading takes beside what `body` allocates.
  public static func bytesInFlight(threads: Int) -> Int {
    ProcessBytes.loadBufferBytes(threads: threads)
  }
}

extension Sequence {
  /// The elements of all lists at a key path, one after the other.
  func joined<Value>(_ path: KeyPath<Element, [Value]>) -> [Value] {
    flatMap { $0[keyPath: path] }
  }
}
