import TensorCore

/// The receiving side of a shipment: takes frames, answers with frames, and brings a node's
/// directory to its place. It knows nothing of wires.
///
/// Nothing the sender says is believed: names come from a list of ours, the manifest is checked
/// like any other, places and lengths of chunks follow from it, and bytes count when their digest
/// was compared.
final class ShipReceiver {
  typealias Reply = (ShipFrame) throws -> Void

  private let directory: String
  private var files: [String: [UInt8]] = [:]
  private var incoming: IncomingNode?
  private var storedByteCount = 0
  private var reportedByteCount = 0
  private var repetitions: [ChunkIndex: Int] = [:]
  /// Whether the directory is in its place.
  private(set) var isDone = false

  /// How often a chunk may come damaged.
  static let repetitionLimit = 3
  /// How many bytes come between two words about them.
  static let reportStep = 4 << 20

  init(directory: String) { self.directory = directory }

  func handle(_ frame: ShipFrame, reply: Reply) throws {
    switch (frame, incoming) {
    case (.file(let name, let bytes), nil): try take(name, bytes)
    case (.begin, nil): try begin(reply)
    case (.chunk(let index, let bytes), .some(let incoming)):
      try take(index, bytes, incoming, reply)
    default: throw PackageFault.shipProtocol
    }
  }

  private func take(_ name: String, _ bytes: [UInt8]) throws(PackageFault) {
    guard let limit = BundleFiles.limit(ofSmall: name), bytes.count <= limit, files[name] == nil
    else {
      throw PackageFault(
        "shipProtocol",
        "the sender offers \(Self.printable(name)), which is no file of a node's directory or has "
          + "\(bytes.count) bytes; install the same version of shardtool and shardrun on both "
          + "machines")
    }
    files[name] = bytes
  }

  private static func printable(_ name: String) -> String {
    ManifestLimits.isPlainName(name) ? name : "a file with an unusable name"
  }

  private func begin(_ reply: Reply) throws {
    guard let manifestBytes = files[BundleFiles.manifest],
      let descriptorBytes = files[BundleFiles.nodeDescriptor]
    else { throw PackageFault.shipProtocol }
    let manifest = try Manifest(file: manifestBytes, path: "the sender's \(BundleFiles.manifest)")
    let descriptor = try NodeDescriptor(
      file: descriptorBytes, path: "the sender's \(BundleFiles.nodeDescriptor)")
    guard descriptor.bundleID == manifest.bundleID, let node = manifest.node(descriptor.node)
    else { throw PackageFault.shipProtocol }
    if let signature = files[BundleFiles.signature] {
      _ = try SignatureEnvelope(
        file: signature, manifest: manifestBytes, path: "the sender's \(BundleFiles.signature)")
    }
    let incoming = try IncomingNode(
      target: directory, content: NodeContent(manifest: manifest, node: node), files: files)
    self.incoming = incoming
    var reported = 0
    try incoming.takeStock { done, total in
      guard done - reported >= 64 << 20 else { return }
      reported = done
      try reply(.checking(done: done, total: total))
    }
    try reply(.need(incoming.missing.sorted()))
    if incoming.missing.isEmpty { try install(incoming, reply) }
  }

  private func take(
    _ index: ChunkIndex, _ bytes: [UInt8], _ incoming: IncomingNode, _ reply: Reply
  ) throws {
    guard !isDone, incoming.content.contains(index), incoming.missing.contains(index) else {
      throw PackageFault.shipProtocol
    }
    guard try incoming.store(bytes, at: index) else {
      return try repeatChunk(index, incoming, reply)
    }
    storedByteCount += bytes.count
    if incoming.isComplete(index.blob) {
      for bad in try incoming.settle(index.blob) {
        storedByteCount -= incoming.content.place(bad).chunk.storedByteCount
        try repeatChunk(bad, incoming, reply)
      }
    }
    if storedByteCount - reportedByteCount >= Self.reportStep || incoming.missing.isEmpty {
      reportedByteCount = max(reportedByteCount, storedByteCount)
      try reply(.stored(max(0, storedByteCount)))
    }
    if incoming.missing.isEmpty { try install(incoming, reply) }
  }

  private func repeatChunk(
    _ index: ChunkIndex, _ incoming: IncomingNode, _ reply: Reply
  ) throws {
    repetitions[index, default: 0] += 1
    guard repetitions[index, default: 0] < Self.repetitionLimit else {
      throw incoming.content.place(index).fault(
        "damagedInTransit",
        "it came or was stored wrongly \(Self.repetitionLimit) times at \(incoming.target), whose "
          + "disk or memory may be failing")
    }
    try reply(.again(index))
  }

  private func install(_ incoming: IncomingNode, _ reply: Reply) throws {
    let receipt = try incoming.install(received: storedByteCount)
    isDone = true
    try reply(.installed(receipt))
  }

  /// Leaves what has come to the next shipment.
  func pause() { if !isDone { incoming?.pause() } }

  /// Serves one shipment over a wire to its end; tells the sender of every fault.
  ///
  /// Throws: the fault, or `ShipInterruption` where the sender has gone.
  static func serve(_ wire: ShipWire, directory: String) throws {
    let receiver = ShipReceiver(directory: directory)
    defer { receiver.pause() }
    try wire.greet()
    try wire.expectGreeting(from: "the sender")
    do {
      while !receiver.isDone {
        try receiver.handle(try wire.receive()) { try wire.send($0) }
      }
    } catch let fault as any Fault {
      try? wire.send(.failed(ShipFailure(fault)))
      throw fault
    }
  }
}

/// The program on the far side of a shipment.
public enum ShipReception {
  /// Receives a node's directory over two descriptors, which it closes.
  ///
  /// - Parameter patience: seconds without a byte after which the sender counts as gone. A
  ///   broken connection is noticed within that, and the next one finds the target free.
  /// Throws: `PackageFault` or `FileFault`, of which the sender has been told where it still
  /// listens; `PackageFault` with `tryAgain` where the sender has gone.
  public static func run(
    input: Int32, output: Int32, directory: String, patience: Int = 30
  ) throws {
    let wire = ShipWire(input: input, output: output, patience: patience)
    do {
      try ShipReceiver.serve(wire, directory: directory)
    } catch is ShipInterruption {
      throw PackageFault(
        "senderGone",
        "the sender of \(directory) has gone; what came is kept, and shipping again goes on from "
          + "there", exitStatus: .tryAgain, context: ["file": directory])
    }
  }
}
