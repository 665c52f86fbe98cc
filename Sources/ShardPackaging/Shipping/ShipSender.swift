import Foundation
import TensorCore

/// Hands a wire to the thread that receives, and waits for it.
//
// SAFETY: the wire is used by that thread alone, and the semaphore orders its end.
private final class Handover: @unchecked Sendable {
  private var wire: ShipWire?
  private let done = DispatchSemaphore(value: 0)

  init(_ wire: ShipWire) { self.wire = wire }

  func receive(_ directory: String) {
    if let wire { try? ShipReceiver.serve(wire, directory: directory) }
    wire = nil
    done.signal()
  }

  func wait() { done.wait() }
}

/// The sending side of a shipment: one node's part of a bundle.
public struct ShipSender: Sendable {
  /// The bundle or node directory it comes from.
  public let directory: String
  public let bundleID: String
  public let node: String
  /// Bytes of the node's blobs.
  public var byteCount: Int { package.manifest.node(node).map(Self.size(package)) ?? 0 }
  private let package: VerifiedPackage

  private static func size(_ package: VerifiedPackage) -> (ManifestNode) -> Int {
    { package.manifest.blobs(of: $0).reduce(0) { $0 + $1.byteCount } }
  }

  /// Opens and checks what is to be shipped.
  ///
  /// - Parameter node: may be nil for a node's directory, or a bundle of one node.
  /// - Throws: `PackageFault` and what `VerifiedPackage.open` throws.
  public init(directory: String, node: String?) throws {
    let opened = try VerifiedPackage.open(directory: directory, node: node)
    guard !opened.isWholeBundle || opened.nodeNames.count == 1 else {
      throw PackageFault(
        "nodeNeeded",
        "\(directory) holds \(opened.nodeNames.joined(separator: ", ")); say with --node which of "
          + "them to ship", exitStatus: .usage, context: ["file": directory])
    }
    self.directory = directory
    self.node = opened.node
    bundleID = opened.bundleID
    package = opened
  }

  /// What the other side has said about how far it is.
  public struct Progress: Sendable {
    /// Bytes of chunks that the target lacked.
    public let missingByteCount: Int
    /// Bytes of them that are stored there, with the right digests.
    public let storedByteCount: Int
  }

  /// Ships over a wire to a receiver.
  ///
  /// - Parameters:
  ///   - place: the machine of the target, for faults; nil for this one.
  ///   - progress: called now and then.
  /// - Throws: `PackageFault` for what is wrong here or there; `ShipInterruption` where the wire
  ///   breaks, after which another wire can go on.
  public func ship(
    over wire: ShipWire, to place: String?, progress: (Progress) -> Void
  ) throws -> ShipReceipt {
    guard let entry = package.manifest.node(node) else { throw PackageFault.shipProtocol }
    let content = NodeContent(manifest: package.manifest, node: entry)
    try wire.expectGreeting(from: place ?? "the receiver")
    var session = ShipSession(
      content: content, store: BlobStore(directory: directory), wire: wire, place: place)
    do {
      try wire.greet()
      for (name, bytes) in try files() { try wire.send(.file(name: name, bytes: bytes)) }
      try wire.send(.begin)
      return try session.run(progress)
    } catch ShipInterruption.ended {
      // The last words of a receiver that gave up may still be on their way.
      while let frame = try? wire.receive() {
        if case .failed(let failure) = frame { throw failure.fault(at: place) }
      }
      throw ShipInterruption.ended
    }
  }

  /// Ships to a directory of this machine; like over a wire, with the receiver in a thread.
  public func ship(
    toDirectory target: String, progress: (Progress) -> Void
  ) throws -> (receipt: ShipReceipt, sentByteCount: Int) {
    let (near, far) = try ShipWire.pair(patience: 3600)
    let handover = Handover(far)
    let receiver = Thread { handover.receive(target) }
    receiver.stackSize = 1 << 20
    receiver.start()
    defer {
      near.end()
      handover.wait()
    }
    do {
      return (try ship(over: near, to: nil, progress: progress), near.sentByteCount)
    } catch is ShipInterruption {
      throw PackageFault(
        "receiverGone", "writing \(target) ended early; ship again", exitStatus: .inputOutput,
        context: ["file": target])
    }
  }

  /// The files beside the blobs, as the node's directory has them.
  private func files() throws -> [(name: String, bytes: [UInt8])] {
    try BundleFiles.small.compactMap { name, limit in
      if name == BundleFiles.nodeDescriptor {
        let descriptor = NodeDescriptor(node: node, bundleID: package.manifest.bundleID)
        return (name, descriptor.fileBytes)
      }
      let path = "\(directory)/\(name)"
      guard Directory.isFile(path) else { return nil }
      return (name, try InputFile.contents(of: path, limit: limit))
    }
  }
}

/// One shipment from the sender's side, once the files are sent.
private struct ShipSession {
  let content: NodeContent
  let store: BlobStore
  let wire: ShipWire
  let place: String?
  private let reader = StoredChunkReader()
  private var waiting: [ChunkIndex] = []
  private var asked: Set<ChunkIndex> = []
  private var repetitions = 0
  private var missing = 0
  private var stored = 0
  private var checked = 0
  private var receipt: ShipReceipt?

  init(content: NodeContent, store: BlobStore, wire: ShipWire, place: String?) {
    self.content = content
    self.store = store
    self.wire = wire
    self.place = place
  }

  mutating func run(_ progress: (ShipSender.Progress) -> Void) throws -> ShipReceipt {
    var hasBegun = false
    while !hasBegun {
      let frame = try wire.receive()
      if case .need = frame { hasBegun = true }
      try hear(frame, isFirst: true)
    }
    progress(.init(missingByteCount: missing, storedByteCount: 0))
    while true {
      while receipt == nil, let frame = try wire.receiveIfThere() { try hear(frame) }
      if let receipt { return receipt }
      progress(.init(missingByteCount: missing, storedByteCount: stored))
      if let index = waiting.popLast() {
        try send(index)
      } else {
        try hear(try wire.receive())
      }
    }
  }

  private mutating func hear(_ frame: ShipFrame, isFirst: Bool = false) throws {
    switch frame {
    case .failed(let failure): throw failure.fault(at: place)
    case .checking(let done, let total)
    where isFirst && done > checked && done <= total && total <= content.byteCount:
      checked = done
    case .need(let indices) where isFirst:
      guard zip(indices, indices.dropFirst()).allSatisfy(<),
        indices.allSatisfy(content.contains)
      else { throw PackageFault.shipProtocol }
      asked = Set(indices)
      waiting = indices.reversed()
      missing = content.storedByteCount(indices)
    case .stored(let count) where !isFirst && count > stored && count <= missing:
      stored = count
    case .again(let index) where !isFirst && asked.contains(index):
      repetitions += 1
      guard repetitions <= asked.count * ShipReceiver.repetitionLimit else {
        throw PackageFault.shipProtocol
      }
      waiting.append(index)
    case .installed(let receipt) where !isFirst && waiting.isEmpty: self.receipt = receipt
    default: throw PackageFault.shipProtocol
    }
  }

  private func send(_ index: ChunkIndex) throws {
    let chunk = content.place(index)
    let file = try store.file(chunk.blob, owner: chunk.owner)
    guard let bytes = try reader.bytes(of: chunk, in: file) else {
      throw chunk.fault(
        "digestMismatch", "the stored bytes do not have the digest \(chunk.chunk.storedDigest)")
    }
    try wire.send(.chunk(index, bytes: bytes))
    if index.chunk == content.blobs[index.blob].chunks.count - 1 { store.close(chunk.blob) }
  }
}
