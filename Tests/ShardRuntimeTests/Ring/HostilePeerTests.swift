import ShardRuntime
import ShardTransport
import TensorCore
import TestSupport
import Testing

/// What strangers and broken peers send to a live node: it answers with a reason, closes, and
/// serves the next one.
@Suite(.serialized) struct HostilePeerTests {
  private let plan = TinyPlan(cuts: [3])

  private func frame(_ kind: UInt8, _ text: String) -> Frame {
    Frame(kind: kind, payload: Array(text.utf8))
  }

  private var hello: Frame {
    frame(
      16,
      #"{"protocol":3,"role":"coordinator","run":"r1","sequences":1,"bundle":"bundle-1","#
        + #""from":"node-0","to":"node-1"}"#)
  }

  private var probe: Frame { frame(22, #"{"protocol":3}"#) }

  private var join: Frame { frame(18, #"{"previous":"node-0","next":null}"#) }

  /// A step of one row for node-1 that wants a sample.
  private func step(
    position: UInt32 = 0, layers: UInt16 = 3, rows: UInt32 = 1, output: UInt8 = 0, width: Int = 24
  ) -> Frame {
    var payload: [UInt8] = [9, 0, 0, 0, 0, 0]
    payload += [UInt8(layers & 255), UInt8(layers >> 8)]
    for number in [position, rows] {
      payload += (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }
    payload += [output, 0, 0, 0]
    payload += [UInt8](repeating: 0, count: Int(min(rows, 64)) * width * 4)
    return Frame(kind: 64, payload: payload)
  }

  private func encoded(_ frames: [Frame]) -> [UInt8] {
    var encoder = FrameEncoder()
    return frames.flatMap { encoder.encode($0) }
  }

  /// The code of the farewell that bytes provoke; "open" where the node does not close.
  private func answer(_ address: HostPort, _ bytes: [UInt8]) -> String {
    guard let peer = RawPeer(address) else { return "no connection" }
    peer.send(bytes)
    guard let all = peer.readToEnd() else { return "open" }
    for frame in RawPeer.frames(all) where frame.kind == 2 {
      let text = String(decoding: frame.payload, as: UTF8.self)
      if let start = text.range(of: #""code":""#)?.upperBound,
        let end = text[start...].firstIndex(of: "\"")
      {
        return String(text[start..<end])
      }
    }
    return "closed without a word"
  }

  private func expectServing(_ cluster: TinyCluster) throws {
    var options = InferencePipeline.Options()
    options.connectPatience = .seconds(4)
    let pipeline = try InferencePipeline(
      stage: plan.stage(0), peers: cluster.peers, options: options)
    guard
      case .token = try pipeline.run(
        [1, 2, 3], firstPosition: 0, output: .sample(.greedy, step: 0))
    else {
      Issue.record("no token")
      return
    }
  }

  @Test func linksAreMeasuredOneByOneAndOutsideOfRuns() throws {
    let cluster = try TinyCluster(plan)
    let address = cluster.peers[0].address
    let other = try #require(RawPeer(address))
    other.send(encoded([probe]))
    try #require(other.readSome() != nil)
    #expect(answer(address, encoded([probe])) == "runtime.busy")
    // A link that is measured keeps nobody from a run.
    let pipeline = try InferencePipeline(stage: plan.stage(0), peers: cluster.peers)
    #expect(answer(address, encoded([probe])) == "runtime.busy")
    withExtendedLifetime(pipeline) {}
  }

  @Test func reasonsAreGiven() throws {
    let hasty = TCPTransport(timing: LinkTiming(deadline: .seconds(1)))
    defer { hasty.shutdown() }
    let cluster = try TinyCluster(plan, transport: { _ in hasty })
    let address = cluster.peers[0].address
    func code(_ frames: Frame...) -> String { answer(address, encoded(frames)) }
    #expect(answer(address, Array("GET / HTTP/1.1\r\n\r\n".utf8)) == "transport.notANode")
    #expect(answer(address, [0x73, 0x68, 9]) == "transport.version")
    #expect(answer(address, []) == "transport.silent")
    #expect(
      answer(address, Array(encoded([hello]).prefix(60))) == "transport.silent")
    var long = encoded([hello])
    long[7] = 0x10
    #expect(answer(address, long) == "transport.frameTooLong")
    #expect(code(join) == "runtime.unexpectedMessage")
    #expect(code(step()) == "transport.tooEarly")
    #expect(code(hello, hello) == "runtime.unexpectedMessage")
    #expect(code(hello, step()) == "runtime.unexpectedMessage")
    #expect(code(probe, probe) == "runtime.unexpectedMessage")
    #expect(code(hello, probe) == "runtime.unexpectedMessage")
    #expect(code(frame(22, #"{"protocol":1}"#)) == "runtime.protocolVersion")
    #expect(code(frame(16, "{")) == "runtime.malformedMessage")
    #expect(code(frame(16, #"{"protocol":1}"#)) == "runtime.protocolVersion")
    for sequences in ["0", "-1", "1e300", "\"1\""] {
      let text = String(decoding: hello.payload, as: UTF8.self)
      let other = text.replacing(#""sequences":1"#, with: #""sequences":\#(sequences)"#)
      #expect(code(frame(16, other)) == "runtime.malformedMessage", "\(sequences)")
    }
    #expect(code(frame(33, "{}")) == "runtime.malformedMessage")
    #expect(
      code(hello, frame(18, #"{"previous":"node-0","next":7}"#)) == "runtime.malformedMessage")
    #expect(
      code(hello, frame(18, #"{"previous":"node-0","next":{"node":"n","host":"h","port":1}}"#))
        == "runtime.unexpectedMessage")
    #expect(code(hello, join, step(position: 5)) == "runtime.positionMismatch")
    #expect(code(hello, join, step(layers: 2)) == "runtime.layerOrder")
    #expect(code(hello, join, step(rows: 9)) == "runtime.chunkSize")
    #expect(code(hello, join, step(rows: 0)) == "runtime.chunkSize")
    #expect(code(hello, join, step(rows: .max)) == "runtime.chunkSize")
    #expect(code(hello, join, step(width: 23)) == "runtime.malformedMessage")
    #expect(code(hello, join, step(output: 9)) == "runtime.malformedMessage")
    #expect(code(hello, join, step(output: 3)) == "runtime.malformedMessage")
    #expect(
      code(hello, join, Frame(kind: 65, payload: [0, 0, 0, 0, 9, 0])) == "runtime.unknownSequence")
    #expect(
      code(hello, join, Frame(kind: 67, payload: [0, 0, 0, 0, 0, 0, 1, 0, 0, 0]))
        == "runtime.cannotRewind")
    #expect(
      code(hello, join, Frame(kind: 67, payload: [0, 0, 0, 0, 0, 0, 255, 255, 255, 255]))
        == "runtime.cannotRewind")
    #expect(
      code(hello, join, Frame(kind: 67, payload: [0, 0, 0, 0])) == "runtime.malformedMessage")
    #expect(code(hello, join, Frame(kind: 99)) == "runtime.malformedMessage")
    let tooMuch =
      [Frame](repeating: Frame(kind: 64, payload: [0]), count: 1)
      + [Frame](repeating: step(rows: 8), count: 40)
    #expect(answer(address, encoded([hello, join] + tooMuch)) == "runtime.malformedMessage")
    try expectServing(cluster)
  }

  /// A conversation of which one thing is wrong, before or after its checksums are made.
  @Test func mutatedConversations() throws {
    let seed: UInt64 = 20
    var random = SeededGenerator(seed: seed)
    let cluster = try TinyCluster(plan)
    let address = cluster.peers[0].address
    let conversation = [hello, join, step(), Frame(kind: 65, payload: [1, 0, 0, 0, 0, 0]), step()]
    for round in 0..<150 {
      guard let peer = RawPeer(address) else {
        Issue.record("seed \(seed), round \(round): the node does not accept connections")
        return
      }
      var frames = conversation
      if Bool.random(using: &random) {
        for _ in 0..<Int.random(in: 1...3, using: &random) { mutate(&frames, &random) }
        peer.send(encoded(frames))
      } else {
        var bytes = encoded(frames)
        for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&bytes, &random) }
        peer.send(bytes)
      }
      peer.finishSending()
      #expect(peer.readToEnd() != nil, "seed \(seed), round \(round)")
    }
    try expectServing(cluster)
  }

  private func mutate(_ frames: inout [Frame], _ random: inout SeededGenerator) {
    guard let index = frames.indices.randomElement(using: &random) else { return }
    let frame = frames[index]
    switch Int.random(in: 0...4, using: &random) {
    case 0: frames.remove(at: index)
    case 1: frames.insert(frame, at: index)
    case 2:
      frames[index] = Frame(
        kind: UInt8.random(in: 0...255, using: &random), payload: frame.payload)
    case 3: frames.swapAt(index, frames.indices.randomElement(using: &random) ?? index)
    default:
      var payload = frame.payload
      mutate(&payload, &random)
      frames[index] = Frame(kind: frame.kind, payload: payload)
    }
  }

  private func mutate(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
    guard let index = bytes.indices.randomElement(using: &random) else { return }
    switch Int.random(in: 0...3, using: &random) {
    case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
    case 1: bytes.removeSubrange(index..<min(bytes.count, index + 5))
    case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
    default: bytes.removeLast(bytes.count - index)
    }
  }

  /// Many connections that say nothing, a peer that asks and does not read, and much noise: the
  /// node's memory stays as it is.
  @Test func floodsAreBounded() throws {
    let hasty = TCPTransport(timing: LinkTiming(establishing: .milliseconds(300)))
    defer { hasty.shutdown() }
    let cluster = try TinyCluster(plan, transport: { _ in hasty })
    let address = cluster.peers[0].address
    try expectServing(cluster)
    let before = ProcessMemory.peakResidentBytes
    let silent = (0..<60).compactMap { _ in RawPeer(address) }
    #expect(silent.count == 60)
    #expect(silent.last?.readToEnd() != nil)
    pause(.milliseconds(600))
    #expect(silent.first?.readToEnd() != nil)

    var random = SeededGenerator(seed: 21)
    for _ in 0..<20 {
      guard let peer = RawPeer(address) else { continue }
      let noise = (0..<100_000).map { _ in UInt8.random(in: 0...255, using: &random) }
      peer.send(noise)
      _ = peer.readToEnd()
    }

    let question = frame(20, #"{"restart":false}"#)
    let questions = [Frame](repeating: question, count: 30_000)
    #expect(answer(address, encoded([hello, join] + questions)) == "transport.flood")
    try expectServing(cluster)
    let growth = ProcessMemory.peakResidentBytes - before
    #expect(growth < 64 << 20, "grew by \(Quantity.describe(bytes: growth))")
  }
}
