import ShardTransport
import TensorCore
import TensorKernels

/// Hidden states of consecutive tokens on their way along the ring, with what is wanted of them.
///
/// On the wire, little-endian: request u32, sequence u16, layers done u16, first position u32,
/// rows u32, output u8, encoding u8 (0: f32, 1: half), 2 zero bytes; then for output 1 temperature
/// f32, top k u32, top p f32, seed u64, step u32, for output 3 a target i32 for each row; then the
/// rows.
struct StepMessage: Sendable, Equatable {
  static let kind: UInt8 = 64

  /// Number that the coordinator gave the step; its results carry it.
  var request: UInt32
  /// Which of the node's sequences.
  var sequence: Int
  /// Layers that have been executed so far: the proof that each is executed once, in order.
  var layersDone: Int
  var firstPosition: Int
  var rows: Int
  var output: StepOutput
  /// What the rows are in.
  var format: HiddenFormat
  /// Row after row in `format`, from `hiddenOffset` on.
  private(set) var payload: [UInt8]
  private let hiddenOffset: Int

  /// Bytes before the rows, without targets: 44.
  static let headerBytes = 20 + 24

  init(
    request: UInt32, sequence: Int, layersDone: Int, firstPosition: Int, rows: Int,
    output: StepOutput, hidden: Matrix, format: HiddenFormat
  ) {
    self.request = request
    self.sequence = sequence
    self.layersDone = layersDone
    self.firstPosition = firstPosition
    self.rows = rows
    self.output = output
    self.format = format
    payload = []
    payload.reserveCapacity(
      Self.headerBytes + rows * (4 + format.byteCount(columns: hidden.columns)))
    payload.append(little: request)
    payload.append(little: UInt16(sequence))
    payload.append(little: UInt16(layersDone))
    payload.append(little: UInt32(firstPosition))
    payload.append(little: UInt32(rows))
    payload += [output.code, format.code, 0, 0]
    Self.append(output, to: &payload)
    hiddenOffset = payload.count
    for row in 0..<rows {
      hidden.withRow(row) { format.append($0, to: &payload) }
    }
  }

  private static func append(_ output: StepOutput, to payload: inout [UInt8]) {
    switch output {
    case .nothing, .logits: break
    case .sample(let parameters, let step):
      payload.append(little: parameters.temperature)
      payload.append(little: UInt32(clamping: parameters.topK))
      payload.append(little: parameters.topP)
      payload.append(little: parameters.seed)
      payload.append(little: UInt32(truncatingIfNeeded: step))
    case .negativeLogLikelihood(let targets):
      for target in targets { payload.append(little: target) }
    }
  }

  var frame: Frame { Frame(kind: Self.kind, payload: payload) }

  /// Reads a message; the number of columns and the limits are the stage's to check.
  init(_ frame: Frame) throws(RuntimeFault) {
    var reader = PayloadReader(frame.payload)
    request = try reader.integer(UInt32.self)
    sequence = Int(try reader.integer(UInt16.self))
    layersDone = Int(try reader.integer(UInt16.self))
    firstPosition = Int(try reader.integer(UInt32.self))
    rows = Int(try reader.integer(UInt32.self))
    let code = try reader.integer(UInt8.self)
    let encoding = try reader.integer(UInt8.self)
    guard let format = HiddenFormat.allCases.first(where: { $0.code == encoding }),
      try reader.integer(UInt16.self) == 0
    else { throw PayloadReader.malformed("hidden states in an unknown encoding") }
    self.format = format
    output = try Self.readOutput(code, rows: rows, &reader)
    payload = frame.payload
    hiddenOffset = reader.offset
  }

  private static func readOutput(
    _ code: UInt8, rows: Int, _ reader: inout PayloadReader
  ) throws(RuntimeFault) -> StepOutput {
    switch code {
    case StepOutput.nothing.code: return .nothing
    case StepOutput.logits.code: return .logits
    case StepOutput.sample(.greedy, step: 0).code:
      var parameters = SamplingParameters()
      parameters.temperature = try reader.float()
      parameters.topK = Int(try reader.integer(UInt32.self))
      parameters.topP = try reader.float()
      parameters.seed = try reader.integer(UInt64.self)
      return .sample(parameters, step: Int(try reader.integer(UInt32.self)))
    case StepOutput.negativeLogLikelihood(targets: []).code:
      guard rows <= reader.remaining / 4 else { throw PayloadReader.tooShort }
      var targets: [Int32] = []
      targets.reserveCapacity(rows)
      for _ in 0..<rows { targets.append(try reader.integer(Int32.self)) }
      return .negativeLogLikelihood(targets: targets)
    default:
      throw PayloadReader.malformed("output \(code) is unknown")
    }
  }

  /// Bytes of the rows.
  var hiddenByteCount: Int { payload.count - hiddenOffset }

  /// Writes the rows into a matrix.
  ///
  /// Precondition: `hiddenByteCount` is that of rows × columns in `format`, and the matrix has so
  /// many rows.
  func copyHidden(into hidden: Matrix) {
    let rowBytes = format.byteCount(columns: hidden.columns)
    precondition(hiddenByteCount == rows * rowBytes, "rows of another width")
    for row in 0..<rows {
      let first = hiddenOffset + row * rowBytes
      hidden.withMutableRow(row) { target in
        format.read(payload.span.extracting(first..<first + rowBytes), into: &target)
      }
    }
  }
}

extension HiddenFormat {
  fileprivate var code: UInt8 {
    switch self {
    case .f32: 0
    case .half: 1
    }
  }
}

extension StepOutput {
  fileprivate var code: UInt8 {
    switch self {
    case .nothing: 0
    case .sample: 1
    case .logits: 2
    case .negativeLogLikelihood: 3
    }
  }
}
