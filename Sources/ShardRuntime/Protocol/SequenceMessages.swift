import ShardTransport

/// Asks every node along the ring to forget a sequence.
///
/// On the wire: request u32, sequence u16.
struct ResetMessage: Sendable, Equatable {
  static let kind: UInt8 = 65
  var request: UInt32
  var sequence: Int

  init(request: UInt32, sequence: Int) {
    self.request = request
    self.sequence = sequence
  }

  init(_ frame: Frame) throws(RuntimeFault) {
    var reader = PayloadReader(frame.payload)
    request = try reader.integer(UInt32.self)
    sequence = Int(try reader.integer(UInt16.self))
    guard reader.remaining == 0 else { throw PayloadReader.malformed("it is too long") }
  }

  var frame: Frame {
    var payload: [UInt8] = []
    payload.append(little: request)
    payload.append(little: UInt16(sequence))
    return Frame(kind: Self.kind, payload: payload)
  }
}

/// Asks every node along the ring to forget a sequence from a position on.
///
/// On the wire: request u32, sequence u16, position u32.
struct RewindMessage: Sendable, Equatable {
  static let kind: UInt8 = 67
  var request: UInt32
  var sequence: Int
  var position: Int

  init(request: UInt32, sequence: Int, position: Int) {
    self.request = request
    self.sequence = sequence
    self.position = position
  }

  init(_ frame: Frame) throws(RuntimeFault) {
    var reader = PayloadReader(frame.payload)
    request = try reader.integer(UInt32.self)
    sequence = Int(try reader.integer(UInt16.self))
    position = Int(try reader.integer(UInt32.self))
    guard reader.remaining == 0 else { throw PayloadReader.malformed("it is too long") }
  }

  var frame: Frame {
    var payload: [UInt8] = []
    payload.append(little: request)
    payload.append(little: UInt16(sequence))
    payload.append(little: UInt32(position))
    return Frame(kind: Self.kind, payload: payload)
  }
}
