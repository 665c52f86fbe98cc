import Foundation
import ModelArchitectures
import ShardPackaging
import TensorCore
import TestSupport
import Testing

/// Shipping to directories: what is sent, and what stands there afterwards.
@Suite struct ShipTests {
  private let place: TemporaryDirectory
  private let model = SmallModel(layers: 6, hidden: 64, tokenizer: SmallModel.soundTokenizer)

  init() throws { place = try TemporaryDirectory() }

  private func pack(_ split: [Int], name: String = "bundle", chunkByteCount: Int = 512) throws
    -> Manifest
  {
    let quantized = try model.write(to: place.appending("quantized"))
    return try Packager.pack(
      quantized, plan: model.plan(split), to: place.appending(name),
      chunkByteCount: chunkByteCount
    ).manifest
  }

  private func ship(
    _ node: String, to target: String, from bundle: String = "bundle"
  ) throws -> (receipt: ShipReceipt, sentByteCount: Int) {
    let sender = try ShipSender(directory: place.appending(bundle), node: node)
    return try sender.ship(toDirectory: place.appending(target)) { _ in }
  }

  private func blobs(_ manifest: Manifest, _ node: String) throws -> Set<BlobReference> {
    Set(manifest.blobs(of: try #require(manifest.node(node))))
  }

  @Test func aNodeArrivesAsItIs() throws {
    let manifest = try pack([2, 4])
    for node in ["node-0", "node-1"] {
      let (receipt, sent) = try ship(node, to: "a/b/\(node)")
      let size = try blobs(manifest, node).reduce(0) { $0 + $1.byteCount }
      #expect(receipt.receivedByteCount == size)
      #expect(receipt.keptByteCount == 0 && !receipt.replacedOlder)
      #expect(sent > size && sent < size + 512 << 10)
      let target = place.appending("a/b/\(node)")
      let bundled = place.appending("bundle/nodes/\(node)")
      #expect(try contents(of: target) == contents(of: bundled))
      #expect(try VerifiedPackage.open(directory: target).verifyAll().nodes == [node])
    }
    #expect(try Directory.names(in: place.appending("a/b")) == ["node-0", "node-1"])
    // From a node's directory, without the bundle.
    let again = try ShipSender(directory: place.appending("a/b/node-1"), node: nil)
    _ = try again.ship(toDirectory: place.appending("copy")) { _ in }
    #expect(
      try contents(of: place.appending("copy")) == contents(of: place.appending("a/b/node-1")))
  }

  @Test func whatIsThereIsNotSent() throws {
    let manifest = try pack([2, 4])
    _ = try ship("node-1", to: "target")
    let (receipt, sent) = try ship("node-1", to: "target")
    #expect(receipt.receivedByteCount == 0 && receipt.replacedOlder)
    let size = try blobs(manifest, "node-1").reduce(0) { $0 + $1.byteCount }
    #expect(receipt.keptByteCount == size)
    #expect(sent < manifest.fileBytes.count + 2048)
    _ = try VerifiedPackage.open(directory: place.appending("target")).verifyAll()
  }

  /// Planning anew, from two nodes to three and to other cuts: no weight is written by pack, and
  /// ship sends the blobs that a node lacks and no others.
  @Test func anotherPlanShipsWhatANodeLacks() throws {
    let before = try pack([3, 3])
    for node in before.nodes { _ = try ship(node.name, to: node.name) }
    for split in [[2, 2, 2], [1, 5], [4, 1, 1], [1, 1, 1, 1, 1, 1], [6], [3, 3]] {
      let quantized = try model.write(to: place.appending("quantized"))
      let summary = try Packager.pack(
        quantized, plan: model.plan(split), to: place.appending("bundle"), chunkByteCount: 512)
      let after = summary.manifest
      #expect(summary.writtenByteCount == after.planFiles.blob.byteCount)
      for node in after.nodes {
        let old = try older(node.name)
        let lacking = try blobs(after, node.name).subtracting(old)
        let (receipt, _) = try ship(node.name, to: node.name)
        #expect(receipt.receivedByteCount == lacking.reduce(0) { $0 + $1.byteCount })
        let bundled = place.appending("bundle/nodes/\(node.name)")
        #expect(try contents(of: place.appending(node.name)) == contents(of: bundled))
      }
    }
  }

  /// The blobs that a node's directory has.
  private func older(_ node: String) throws -> [BlobReference] {
    guard Directory.exists(place.appending(node)) else { return [] }
    let manifest = try manifest(at: node)
    return manifest.blobs(of: try #require(manifest.node(node)))
  }

  private func manifest(at name: String) throws -> Manifest {
    let path = place.appending("\(name)/manifest.json")
    return try Manifest(file: InputFile.contents(of: path), path: path)
  }

  @Test func damageAtTheTargetIsMendedByTheChunk() throws {
    let manifest = try pack([6])
    _ = try ship("node-0", to: "target")
    let want = try contents(of: place.appending("target"))
    let component = manifest.components[2]
    let path = place.appending("target/\(BundleFiles.blob(component.blob.digest))")
    let chunks = component.tensors.flatMap(\.planes).flatMap { $0 }
    for change in ["flip", "truncate", "append", "remove"] {
      var bytes = try InputFile.contents(of: path)
      var expected = 0
      switch change {
      case "flip":
        bytes[0] ^= 1
        expected = chunks[0].storedByteCount
      case "truncate":
        bytes.removeLast()
        expected = try #require(chunks.last).storedByteCount
      case "append": bytes.append(0)
      default:
        bytes = []
        expected = component.blob.byteCount
      }
      if bytes.isEmpty {
        try Directory.remove(path)
      } else {
        try Directory.writeAtomically(bytes, to: path)
      }
      let (receipt, _) = try ship("node-0", to: "target")
      #expect(receipt.receivedByteCount == expected, "\(change)")
      #expect(try contents(of: place.appending("target")) == want, "\(change)")
    }
  }

  @Test func damageAtTheSourceIsNamedAndNotShipped() throws {
    let manifest = try pack([6])
    let blob = manifest.components[3].blob
    let path = place.appending("bundle/\(BundleFiles.blob(blob.digest))")
    var bytes = try InputFile.contents(of: path)
    bytes[bytes.count / 2] ^= 1
    try Directory.writeAtomically(bytes, to: path)
    let fault = fault { _ = try ship("node-0", to: "target") }
    #expect(fault?.code == "package.digestMismatch")
    #expect(fault?.message.contains("block-2") == true)
    #expect(!Directory.exists(place.appending("target")))
  }

  @Test func placesThatAreNoNodesAreRefused() throws {
    _ = try pack([3, 3])
    try Directory.create(place.appending("home"))
    try Directory.writeAtomically([1], to: place.appending("home/letter.txt"))
    try Directory.writeAtomically([1], to: place.appending("file"))
    for (target, words) in [
      ("home", "letter.txt"), ("file", "file"), ("file/below", "file"), ("bundle", "nodes"),
    ] {
      let refused = fault { _ = try ship("node-0", to: target) }
      #expect(refused?.exitStatus == .cannotCreate, "\(target): \(refused?.message ?? "")")
      #expect(refused?.message.contains(words) == true, "\(refused?.message ?? "")")
    }
    let sender = try ShipSender(directory: place.appending("bundle"), node: "node-0")
    for target in ["/proc/node", "/dev/shm"] where Directory.exists(Directory.parent(of: target)) {
      let refused = fault { _ = try sender.ship(toDirectory: target) { _ in } }
      #expect(refused?.exitStatus == .cannotCreate, "\(refused?.message ?? "shipped")")
    }
    #expect(
      fault { _ = try ShipSender(directory: place.appending("bundle"), node: nil) }?
        .code == "package.nodeNeeded")
    #expect(
      fault { _ = try ShipSender(directory: place.appending("bundle"), node: "x") }?
        .code == "package.unknownNode")
    #expect(try Directory.names(in: place.path).filter { $0.hasPrefix(".") } == [])
  }

  /// Whoever prepares a staging directory must not lead bytes, or removals, to other places.
  @Test func linksInStagingAreRefused() throws {
    let manifest = try pack([6])
    let blob = BundleFiles.blob(try #require(blobs(manifest, "node-0").first).digest)
    try Directory.create(place.appending("victim/sha256"))
    let victim = place.appending("victim/sha256/\(String(repeating: "ab", count: 32))")
    try Directory.writeAtomically([1, 2, 3], to: victim)
    for (link, other) in [
      ("\(blob).partial", victim), (blob, victim), ("blobs", place.appending("victim")),
      ("blobs/sha256", place.appending("victim/sha256")), ("manifest.json", victim),
    ] {
      let staging = place.appending(".target.partial")
      try Directory.create(Directory.parent(of: "\(staging)/\(link)"))
      try #require(unsafe symlink(other, "\(staging)/\(link)") == 0)
      let refused = fault { _ = try ship("node-0", to: "target") }
      #expect(refused?.code == "package.foreignFiles", "\(link): \(refused?.message ?? "shipped")")
      #expect(try InputFile.contents(of: victim) == [1, 2, 3], "\(link)")
      #expect(!Directory.exists(place.appending("target")))
      try Directory.remove(staging)
    }
    // A whole staging directory, or one put aside, that leads to a bundle.
    for name in [".target.partial", ".target.partial.old.partial"] {
      let before = try contents(of: place.appending("bundle"))
      try #require(unsafe symlink(place.appending("bundle"), place.appending(name)) == 0)
      _ = fault { _ = try ship("node-0", to: "target") }
      #expect(try contents(of: place.appending("bundle")) == before)
      try Directory.remove(place.appending(name))
    }
  }

  @Test func aBrokenShipmentGoesOnAtTheChunk() throws {
    let manifest = try pack([6])
    let node = try #require(manifest.node("node-0"))
    let chunks = manifest.blobs(of: node).map { blob in
      (blob: blob, chunks: chunksOf(blob, manifest))
    }
    let all = chunks.reduce(0) { $0 + $1.chunks.count }
    let total = manifest.blobs(of: node).reduce(0) { $0 + $1.byteCount }
    for stop in [0, 1, all / 3, all - 1] {
      let name = "resumed-\(stop)"
      let target = place.appending(name)
      let (peer, other) = try ShipPeer.pair()
      let receiver = Beside {
        try ShipReception.run(input: other, output: other, directory: target)
      }
      #expect(peer.read(12) == ShipPeer.greeting)
      peer.send(ShipPeer.greeting)
      for file in ["manifest.json", "node.json"] {
        peer.sendFile(
          file, try InputFile.contents(of: place.appending("bundle/nodes/node-0/\(file)")))
      }
      peer.send(frame: 2, [])
      let need = try #require(peer.readFrame())
      #expect(need.kind == 66 && need.payload.count == 8 * all)
      var sent = 0
      var left = stop
      for (number, entry) in chunks.enumerated() {
        let bytes = try InputFile.contents(
          of: place.appending("bundle/\(BundleFiles.blob(entry.blob.digest))"))
        var offset = 0
        for (index, chunk) in entry.chunks.enumerated() where left > 0 {
          peer.sendChunk(number, index, Array(bytes[offset..<offset + chunk.storedByteCount]))
          offset += chunk.storedByteCount
          sent += chunk.storedByteCount
          left -= 1
        }
      }
      // Half a chunk more, and the connection is gone.
      peer.send([3] + ShipPeer.number(400, 4) + [1, 2, 3])
      peer.hangUp()
      #expect(fault { try receiver.get() }?.exitStatus == .tryAgain)
      #expect(!Directory.exists(target))
      #expect(Directory.exists(place.appending(".\(name).partial")) == (stop > 0))
      let (receipt, bytes) = try ship("node-0", to: name)
      #expect(receipt.receivedByteCount == total - sent)
      #expect(receipt.keptByteCount == sent)
      #expect(bytes < total - sent + manifest.fileBytes.count + 16 * all + 1024)
      #expect(
        try contents(of: target) == contents(of: place.appending("bundle/nodes/node-0")))
      #expect(!Directory.exists(place.appending(".\(name).partial")))
    }
  }

  private func chunksOf(_ blob: BlobReference, _ manifest: Manifest) -> [Chunk] {
    for set in [manifest.modelFiles, manifest.planFiles] where set.blob == blob {
      return set.files.flatMap(\.chunks)
    }
    return manifest.components.first { $0.blob == blob }?.tensors.flatMap(\.planes)
      .flatMap { $0 } ?? []
  }
}
