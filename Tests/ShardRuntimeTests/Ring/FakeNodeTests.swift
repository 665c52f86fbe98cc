import ShardRuntime
import ShardTransport
import TensorCore
import Testing

/// A last node that answers whatever a test wants.
private final class FakeNode: LinkHandler {
  struct Script: Sendable {
    /// Members of the welcome that differ from the right ones.
    var welcome: [String: String] = [:]
    var joins = true
    /// Answers to the steps in order; the payload behind the request's number.
    var answers: [[UInt8]] = []
    /// The number is not that of the request.
    var answersAnother = false
  }

  private let script: Script
  private let next = Monitor(0)

  init(_ script: Script) { self.script = script }

  private var welcome: Frame {
    let right = [
      "node": #""node-1""#, "nodes": #"["node-0","node-1"]"#, "bundle": #""bundle-1""#,
      "layers": "[3,6]", "layer_count": "6", "embedding": "false", "head": "true",
      "hidden_size": "24", "vocabulary_size": "50", "context": "64", "prefill_chunk": "8",
      "hidden_format": #""f32""#,
    ]
    let members = right.merging(script.welcome) { $1 }.map { "\"\($0.key)\":\($0.value)" }
    return Frame(kind: 17, payload: Array("{\(members.joined(separator: ","))}".utf8))
  }

  func link(_ link: Link, received frame: Frame) {
    switch frame.kind {
    case 16:
      try? link.send(welcome)
      link.establish(RingLimits.limits(hiddenSize: 24, prefillChunk: 8))
    case 18:
      if script.joins { try? link.send(Frame(kind: 19, payload: Array("{}".utf8))) }
    case 64, 65:
      link.consume(frame)
      let index = next.withLock { number in
        defer { number += 1 }
        return number
      }
      // The probe and its reset are answered well.
      let answers: [[UInt8]] = [[1, 7, 0, 0, 0], [0]] + script.answers
      guard answers.indices.contains(index) else { return }
      var request = Array(frame.payload.prefix(4))
      if script.answersAnother, index > 1 { request[3] = 0x7F }
      try? link.send(Frame(kind: 66, payload: request + answers[index]))
    default: break
    }
  }

  func link(_ link: Link, closed closure: LinkClosure) {}
}

@Suite struct FakeNodeTests {
  private func fault(
    _ script: FakeNode.Script, _ output: StepOutput = .sample(.greedy, step: 0)
  ) throws -> RuntimeFault? {
    let transport = LoopbackTransport()
    defer { transport.shutdown() }
    let node = FakeNode(script)
    let listener = try transport.listen(at: HostPort("127.0.0.1:0")) { _ in node }
    do {
      let pipeline = try InferencePipeline(
        stage: TinyPlan(cuts: [3]).stage(0), peers: [("node-1", listener.address)],
        transport: transport)
      _ = try pipeline.run([1, 2], firstPosition: 0, output: output)
      return nil
    } catch let fault as RuntimeFault {
      return fault
    }
  }

  @Test func anHonestNodeIsBelieved() throws {
    #expect(try fault(.init(answers: [[1, 9, 0, 0, 0]])) == nil)
  }

  @Test(arguments: [
    ("bundle", #""bundle-2""#), ("node", #""node-2""#), ("layers", "[2,6]"), ("layers", "[3,5]"),
    ("layers", "[4,6]"), ("layer_count", "7"), ("head", "false"), ("embedding", "true"),
    ("hidden_size", "25"), ("vocabulary_size", "51"), ("context", "32"), ("prefill_chunk", "4"),
    ("nodes", #"["node-0","node-1","node-2"]"#),
  ])
  func otherPartsAreNotJoined(member: String, value: String) throws {
    let fault = try #require(try fault(.init(welcome: [member: value])))
    #expect(fault.code == "runtime.coverage", "\(fault)")
    #expect(fault.exitStatus == .badData)
    #expect(fault.message.contains("node-"))
  }

  @Test(arguments: [("layers", "7"), ("layers", "[6,3]"), ("context", "-1"), ("head", "1")])
  func unreadableWelcomes(member: String, value: String) throws {
    #expect(
      try fault(.init(welcome: [member: value]))?.code == "runtime.malformedMessage")
  }

  @Test func aNodeThatNeverJoinsIsNamed() throws {
    let fault = try fault(.init(joins: false))
    #expect(fault?.code == "runtime.tooLate")
    #expect(fault?.context["node"] == "node-1")
  }

  /// Results of a wrong kind, length or number end the run; nothing of them is used.
  @Test func wrongResults() throws {
    let sample = StepOutput.sample(.greedy, step: 0)
    let score = StepOutput.negativeLogLikelihood(targets: [1, 2])
    let double = [UInt8](repeating: 0, count: 8)
    let cases: [(StepOutput, [UInt8], String)] = [
      (sample, [0], "unexpectedResult"),
      (sample, [1, 50, 0, 0, 0], "unexpectedResult"),
      (sample, [1, 0, 0, 0, 0x80], "unexpectedResult"),
      (sample, [1, 0, 0], "malformedMessage"),
      (sample, [1, 0, 0, 0, 0, 0], "malformedMessage"),
      (sample, [], "malformedMessage"),
      (sample, [4], "malformedMessage"),
      (.nothing, [1, 0, 0, 0, 0], "unexpectedResult"),
      (score, [3] + double, "unexpectedResult"),
      (score, [3] + double + double + double, "unexpectedResult"),
      (score, [3] + double + [0], "malformedMessage"),
      (.logits, [2] + double, "unexpectedResult"),
      (.logits, [2, 4] + double.dropLast() + double, "unexpectedResult"),
      (.logits, [2] + double + [0], "malformedMessage"),
      (.logits, [2] + double + [UInt8](repeating: 0, count: 404), "unexpectedResult"),
      (.logits, [2] + [UInt8](repeating: 0xFF, count: 12), "malformedMessage"),
    ]
    for (output, answer, code) in cases {
      let fault = try fault(.init(answers: [answer]), output)
      #expect(fault?.code == "runtime." + code, "\(output) \(answer.prefix(12))")
    }
    let another = try fault(.init(answers: [[1, 9, 0, 0, 0]], answersAnother: true))
    #expect(another?.code == "runtime.unexpectedResult")
  }
}
