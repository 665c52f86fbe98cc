import ShardTransport
import TestSupport

/// Conversations with a node of which something is wrong, from a seed.
struct FrameNoise {
  private var random: SeededGenerator
  private let conversation: [Frame]

  /// - Parameters:
  ///   - bundleID: what the node holds, so that half of a conversation is right.
  init(seed: UInt64, bundleID: String, hiddenSize: Int) {
    random = SeededGenerator(seed: seed)
    func text(_ kind: UInt8, _ text: String) -> Frame {
      Frame(kind: kind, payload: Array(text.utf8))
    }
    func step(_ request: UInt8, position: UInt8) -> Frame {
      let head: [UInt8] = [request, 0, 0, 0, 0, 0, 3, 0, position, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0]
      let sampling = [UInt8](repeating: 0, count: 24)
      // The row's exponent, then half floats.
      var hidden: [UInt8] = [127]
      for element in 0..<hiddenSize { hidden += [UInt8(truncatingIfNeeded: element), 32] }
      return Frame(kind: 64, payload: head + sampling + hidden)
    }
    conversation = [
      text(
        16,
        #"{"protocol":3,"role":"coordinator","run":"r1","sequences":1,"bundle":"\#(bundleID)","#
          + #""from":"node-0","to":"node-1"}"#),
      text(18, #"{"previous":"node-0","next":null}"#), step(1, position: 0),
      step(2, position: 1), text(20, #"{"restart":false}"#),
      Frame(kind: 67, payload: [3, 0, 0, 0, 0, 0, 1, 0, 0, 0]),
      Frame(kind: 65, payload: [4, 0, 0, 0, 0, 0]), Frame(kind: 0), step(5, position: 0),
      text(22, #"{"protocol":3}"#), text(23, #"{"protocol":3,"echo":false}"#),
    ]
  }

  /// The bytes of one conversation.
  mutating func next() -> [UInt8] {
    var frames = conversation
    switch Int.random(in: 0...6, using: &random) {
    case 0:
      // Nothing but noise, or noise behind a header that looks right.
      let noise = bytes(Int.random(in: 0...4000, using: &random))
      guard Bool.random(using: &random) else { return noise }
      return [0x73, 0x68, 1] + noise
    case 1:
      // A length that announces far more than comes.
      var bytes = encoded(frames)
      let start = Int.random(in: 0..<frames.count, using: &random)
      let offset = frames[..<start].reduce(0) { $0 + $1.byteCount }
      for index in 4..<8 { bytes[offset + index] = UInt8.random(in: 0...255, using: &random) }
      return bytes
    case 2:
      // The same bytes again: numbers that were used.
      let bytes = encoded(frames)
      let count = Int.random(in: 16...bytes.count, using: &random)
      return bytes + bytes.prefix(count)
    case 3:
      // Frames in another order, each with its right number.
      frames.shuffle(using: &random)
      return encoded(frames)
    case 4:
      var encoder = FrameEncoder()
      let pieces = frames.map { encoder.encode($0) }
      // Whole frames in another order, with the numbers they had.
      return pieces.shuffled(using: &random).flatMap { $0 }
    case 5:
      for _ in 0..<Int.random(in: 1...3, using: &random) { mutate(&frames) }
      return encoded(frames)
    default:
      var bytes = encoded(frames)
      for _ in 0..<Int.random(in: 1...4, using: &random) { mutate(&bytes) }
      return bytes
    }
  }

  private func encoded(_ frames: [Frame]) -> [UInt8] {
    var encoder = FrameEncoder()
    return frames.flatMap { encoder.encode($0) }
  }

  private mutating func bytes(_ count: Int) -> [UInt8] {
    (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
  }

  private mutating func mutate(_ frames: inout [Frame]) {
    guard let index = frames.indices.randomElement(using: &random) else { return }
    let frame = frames[index]
    switch Int.random(in: 0...4, using: &random) {
    case 0: frames.remove(at: index)
    case 1: frames.insert(frame, at: index)
    case 2:
      let kind = UInt8.random(in: 0...255, using: &random)
      frames[index] = Frame(kind: kind, payload: frame.payload)
    case 3: frames[index] = Frame(kind: frame.kind, payload: bytes(frame.payload.count))
    default:
      var payload = frame.payload
      mutate(&payload)
      frames[index] = Frame(kind: frame.kind, payload: payload)
    }
  }

  private mutating func mutate(_ bytes: inout [UInt8]) {
    guard let index = bytes.indices.randomElement(using: &random) else { return }
    switch Int.random(in: 0...3, using: &random) {
    case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
    case 1: bytes.removeSubrange(index..<min(bytes.count, index + 5))
    case 2: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
    default: bytes.removeLast(bytes.count - index)
    }
  }
}
