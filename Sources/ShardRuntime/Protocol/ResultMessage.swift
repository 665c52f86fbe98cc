import ShardTransport

/// What the last node returns to the coordinator: a whole result, or a part of many logits.
///
/// On the wire: request u32, kind u8, then for 1 a token i32, for 2 the index u64 of the first
/// element and f32 values, for 3 f64 values.
struct ResultMessage: Sendable, Equatable {
  static let kind: UInt8 = 66

  enum Part: Sendable, Equatable {
    case done
    case token(Int32)
    /// Values of the request's logits, counted row after row.
    case logits([Float], firstElement: Int)
    case negativeLogLikelihood([Double])
  }

  var request: UInt32
  var part: Part

  /// Most logits of one message: 1 MiB.
  static let mostLogits = 256 << 10
  /// Bytes before the values.
  static let headerBytes = 4 + 1 + 8

  init(request: UInt32, part: Part) {
    self.request = request
    self.part = part
  }

  init(_ frame: Frame) throws(RuntimeFault) {
    var reader = PayloadReader(frame.payload)
    request = try reader.integer(UInt32.self)
    switch try reader.integer(UInt8.self) {
    case 0: part = .done
    case 1: part = .token(try reader.integer(Int32.self))
    case 2:
      guard let first = Int(exactly: try reader.integer(UInt64.self)), reader.remaining % 4 == 0
      else { throw PayloadReader.malformed("logits of an odd length") }
      part = .logits(reader.remainingFloats(), firstElement: first)
      return
    case 3:
      var values: [Double] = []
      values.reserveCapacity(reader.remaining / 8)
      while reader.remaining > 0 { values.append(try reader.double()) }
      part = .negativeLogLikelihood(values)
    case let kind: throw PayloadReader.malformed("result \(kind) is unknown")
    }
    guard reader.remaining == 0 else { throw PayloadReader.malformed("it is too long") }
  }

  var frame: Frame {
    var payload: [UInt8] = []
    payload.append(little: request)
    switch part {
    case .done: payload.append(0)
    case .token(let token):
      payload.append(1)
      payload.append(little: token)
    case .logits(let values, let first):
      payload.reserveCapacity(Self.headerBytes + 4 * values.count)
      payload.append(2)
      payload.append(little: UInt64(first))
      payload.append(floats: values.span)
    case .negativeLogLikelihood(let values):
      payload.append(3)
      for value in values { payload.append(little: value.bitPattern) }
    }
    return Frame(kind: Self.kind, payload: payload)
  }
}
