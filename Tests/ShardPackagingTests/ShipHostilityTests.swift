import Foundation
import ShardPackaging
import TensorCore
import TestSupport
import Testing

/// Peers that break the rules of docs/shipping.md: they are told, and nothing of theirs stays.
@Suite struct ShipHostilityTests {
  private let place: TemporaryDirectory
  private let manifest: Manifest
  private let target: String

  init() throws {
    place = try TemporaryDirectory()
    let model = SmallModel(layers: 3, tokenizer: SmallModel.soundTokenizer)
    let quantized = try model.write(to: place.appending("quantized"))
    manifest = try Packager.pack(
      quantized, plan: model.plan([2, 1]), to: place.appending("bundle")
    ).manifest
    target = place.appending("target")
  }

  private func file(_ name: String, of node: String = "node-0") throws -> [UInt8] {
    try InputFile.contents(of: place.appending("bundle/nodes/\(node)/\(name)"))
  }

  /// Lets a sender talk to a receiver; returns what the receiver says in the end.
  private func receiverSays(
    _ talk: (ShipPeer) throws -> Void
  ) throws -> (code: String, message: String, status: Int)? {
    let (peer, other) = try ShipPeer.pair()
    let target = target
    let receiver = Beside {
      try ShipReception.run(input: other, output: other, directory: target, patience: 5)
    }
    #expect(peer.read(12) == ShipPeer.greeting)
    try talk(peer)
    let failure = peer.readFailure()
    peer.hangUp()
    #expect(throws: (any Error).self) { try receiver.get() }
    return failure
  }

  private func offer(_ peer: ShipPeer) throws {
    peer.send(ShipPeer.greeting)
    peer.sendFile("manifest.json", try file("manifest.json"))
    peer.sendFile("node.json", try file("node.json"))
  }

  private func blobBytes(_ index: Int) throws -> [UInt8] {
    let blob = manifest.blobs(of: try #require(manifest.node("node-0")))[index]
    return try file(BundleFiles.blob(blob.digest))
  }

  @Test func sendersThatBreakTheRulesAreTold() throws {
    let protocolFaults: [(String, (ShipPeer) throws -> Void)] = [
      ("a frame of no kind", { $0.send([99, 0, 0, 0, 0]) }),
      ("a frame of the receiver's", { $0.send(frame: 67, ShipPeer.number(1, 8)) }),
      ("an endless chunk", { $0.send([3, 0xFF, 0xFF, 0xFF, 0x7F]) }),
      ("an endless file", { $0.send([1, 0, 0, 0, 2]) }),
      ("an endless begin", { $0.send([2, 1, 0, 0, 0, 0]) }),
      ("a file without a name", { $0.send(frame: 1, []) }),
      ("a name beyond its frame", { $0.send(frame: 1, [200, 1, 2]) }),
      ("a path", { $0.sendFile("../../etc/passwd", [1]) }),
      ("an absolute path", { $0.sendFile("/etc/passwd", [1]) }),
      ("a file of no bundle", { $0.sendFile("run.sh", [1]) }),
      ("a file twice", { peer in for _ in 0..<2 { peer.sendFile("node.json", [1]) } }),
      ("a node.json too large", { $0.sendFile("node.json", .init(repeating: 1, count: 65537)) }),
      ("a chunk before all", { $0.sendChunk(0, 0, [1]) }),
      ("nothing at all", { $0.send(frame: 2, []) }),
    ]
    for (name, talk) in protocolFaults {
      let failure = try receiverSays { peer in
        peer.send(ShipPeer.greeting)
        try talk(peer)
      }
      #expect(failure?.code == "package.shipProtocol", "\(name): \(String(describing: failure))")
      #expect(failure?.status == 65, "\(name)")
    }
    #expect(!Directory.exists(target))
    #expect(!Directory.exists(place.appending(".target.partial")))
  }

  @Test func manifestsAreCheckedBeforeAnythingIsWritten() throws {
    let manifestBytes = try file("manifest.json")
    let other = try file("node.json", of: "node-1")
    for trial in 0..<40 {
      var bytes = manifestBytes
      bytes[trial * (bytes.count - 1) / 40] ^= 4
      let failure = try receiverSays { peer in
        peer.send(ShipPeer.greeting)
        peer.sendFile("manifest.json", bytes)
        peer.sendFile("node.json", try file("node.json"))
        peer.send(frame: 2, [])
      }
      #expect(failure != nil && failure?.status != 0)
    }
    // The right files of two different bundles.
    let model = SmallModel(layers: 3, seed: 7, tokenizer: SmallModel.soundTokenizer)
    try Packager.pack(
      model.write(to: place.appending("q2")), plan: model.plan([3]), to: place.appending("other"))
    let foreign = try InputFile.contents(of: place.appending("other/manifest.json"))
    let failure = try receiverSays { peer in
      peer.send(ShipPeer.greeting)
      peer.sendFile("manifest.json", foreign)
      peer.sendFile("node.json", other)
      peer.send(frame: 2, [])
    }
    #expect(failure?.code == "package.shipProtocol")
    #expect(!Directory.exists(place.appending(".target.partial")))
  }

  @Test func chunksAreCheckedBeforeTheyCount() throws {
    let blob = try blobBytes(0)
    let cases: [(String, (ShipPeer) -> Void)] = [
      ("no such blob", { $0.sendChunk(1 << 20, 0, blob) }),
      ("no such chunk", { $0.sendChunk(0, 1 << 20, blob) }),
      ("largest numbers", { $0.sendChunk(0xFFFF_FFFF, 0xFFFF_FFFF, blob) }),
      ("half a header", { $0.send(frame: 3, [0, 0, 0]) }),
    ]
    for (name, talk) in cases {
      let failure = try receiverSays { peer in
        try offer(peer)
        peer.send(frame: 2, [])
        talk(peer)
      }
      #expect(failure?.code == "package.shipProtocol", "\(name): \(String(describing: failure))")
    }
    // A chunk that is wrong each time it comes.
    let failure = try receiverSays { peer in
      try offer(peer)
      peer.send(frame: 2, [])
      for _ in 0..<3 { peer.sendChunk(0, 0, blob.map { $0 ^ 1 }) }
    }
    #expect(failure?.code == "package.damagedInTransit", "\(String(describing: failure))")
    #expect(!Directory.exists(target))
    #expect(!Directory.exists(place.appending(".target.partial")))
  }

  @Test func aSilentSenderIsGivenUp() throws {
    let (peer, other) = try ShipPeer.pair()
    let target = target
    let receiver = Beside {
      try ShipReception.run(input: other, output: other, directory: target, patience: 1)
    }
    #expect(peer.read(12) == ShipPeer.greeting)
    #expect(fault { try receiver.get() }?.code == "package.senderGone")
  }

  @Test func noiseIsNoShipment() throws {
    var generator = SeededGenerator(seed: 4)
    for _ in 0..<60 {
      let (peer, other) = try ShipPeer.pair()
      let target = target
      let receiver = Beside {
        try ShipReception.run(input: other, output: other, directory: target, patience: 5)
      }
      if generator.next() % 4 > 0 { peer.send(ShipPeer.greeting) }
      peer.send(
        (0..<Int(generator.next() % 400)).map { _ in
          UInt8(truncatingIfNeeded: generator.next() % 5)
        })
      peer.hangUp()
      #expect(throws: (any Error).self) { try receiver.get() }
    }
    #expect(!Directory.exists(target))
  }

  /// Lets a receiver talk to a sender; returns the fault that the sender ends with.
  private func senderSays(_ talk: (ShipPeer) throws -> Void) throws -> (any Fault)? {
    let (peer, other) = try ShipPeer.pair()
    let sender = try ShipSender(directory: place.appending("bundle"), node: "node-0")
    let side = Beside {
      let wire = ShipWire(input: other, output: other, patience: 5)
      return try sender.ship(over: wire, to: "laptop") { _ in }
    }
    try talk(peer)
    var found: (any Fault)?
    do {
      _ = try side.get()
      Issue.record("the sender believed that it had shipped")
    } catch let error as any Fault {
      found = error
    } catch is ShipInterruption {}
    peer.hangUp()
    return found
  }

  @Test func receiversThatBreakTheRulesAreTold() throws {
    let welcome: [(String, [UInt8])] = [
      ("a shell's greeting", Array("Welcome to Debian\n".utf8)),
      ("another version", Array("shardship/2\n".utf8)),
      ("noise", [UInt8](repeating: 0xFF, count: 100)),
    ]
    for (name, bytes) in welcome {
      let fault = try senderSays { $0.send(bytes) }
      #expect(fault?.code == "package.greeting", "\(name)")
      #expect(fault?.exitStatus == .unavailable)
    }
    let cases: [(String, [(UInt8, [UInt8])])] = [
      ("no such chunk", [(66, ShipPeer.number(0, 4) + ShipPeer.number(1 << 20, 4))]),
      ("no such blob", [(66, ShipPeer.number(1 << 30, 4) + ShipPeer.number(0, 4))]),
      ("a chunk twice", [(66, .init(repeating: 0, count: 16))]),
      ("half a chunk", [(66, [1, 2, 3])]),
      ("installed before all", [(69, .init(repeating: 0, count: 17))]),
      (
        "more stored than sent",
        [(66, .init(repeating: 0, count: 8)), (67, ShipPeer.number(1 << 40, 8))]
      ),
      (
        "chunks that it had",
        [(66, .init(repeating: 0, count: 8)), (68, ShipPeer.number(0, 4) + ShipPeer.number(1, 4))]
      ),
      (
        "one chunk for ever",
        [(66, .init(repeating: 0, count: 8))]
          + .init(repeating: (68, .init(repeating: 0, count: 8)), count: 9)
      ),
      (
        "a check that stands still",
        .init(repeating: (65, ShipPeer.number(5, 8) + ShipPeer.number(9, 8)), count: 2)
      ),
      (
        "a check beyond its end", [(65, ShipPeer.number(9, 8) + ShipPeer.number(5, 8))]
      ),
      (
        "the same stored for ever",
        [(66, .init(repeating: 0, count: 8))]
          + .init(repeating: (67, ShipPeer.number(1, 8)), count: 2)
      ),
      ("nothing stored", [(66, .init(repeating: 0, count: 8)), (67, ShipPeer.number(0, 8))]),
      ("a frame of the sender's", [(3, .init(repeating: 0, count: 8))]),
    ]
    for (name, frames) in cases {
      let fault = try senderSays { peer in
        peer.send(ShipPeer.greeting)
        #expect(peer.read(12) == ShipPeer.greeting)
        for (kind, payload) in frames { peer.send(frame: kind, payload) }
      }
      #expect(fault?.code == "package.shipProtocol", "\(name): \(fault?.message ?? "none")")
      #expect(fault?.exitStatus == .badData)
    }
    let endless = try senderSays { peer in
      peer.send(ShipPeer.greeting)
      peer.send([66, 0xFF, 0xFF, 0xFF, 0xFF])
    }
    #expect(endless?.code == "package.shipProtocol")
  }

  @Test func aReceiversFaultReachesTheUser() throws {
    let fault = try senderSays { peer in
      peer.send(ShipPeer.greeting)
      let code = Array("file.diskFull".utf8)
      peer.send(frame: 70, [74, UInt8(code.count)] + code + Array("no room".utf8))
      peer.hangUp()
    }
    #expect(fault?.code == "file.diskFull")
    #expect(fault?.exitStatus == .inputOutput)
    #expect(fault?.message == "laptop: no room")
  }

  @Test func twoShipsToOneTarget() throws {
    let (peer, other) = try ShipPeer.pair()
    let target = target
    let receiver = Beside {
      try ShipReception.run(input: other, output: other, directory: target)
    }
    _ = peer.read(12)
    try offer(peer)
    peer.send(frame: 2, [])
    _ = peer.readFrame()
    let sender = try ShipSender(directory: place.appending("bundle"), node: "node-0")
    let refused = fault { _ = try sender.ship(toDirectory: target) { _ in } }
    #expect(refused?.code == "package.busy" && refused?.exitStatus == .tryAgain)
    #expect(try StoreSweep.run(place.path).busy == [target])
    peer.hangUp()
    _ = fault { try receiver.get() }
    _ = try sender.ship(toDirectory: target) { _ in }
    _ = try VerifiedPackage.open(directory: target).verifyAll()
  }
}
