/// Writes the frames of one direction of a connection.
public struct FrameEncoder: Sendable {
  private var sequence: UInt32 = 0

  public init() {}

  /// The 16 bytes that go before the frame's payload.
  public mutating func header(of frame: Frame) -> [UInt8] {
    let header = FrameHeader(
      kind: frame.kind, length: UInt32(frame.payload.count), sequence: sequence)
    sequence &+= 1
    var bytes = FrameHeader.magic + [FrameHeader.version, header.kind]
    bytes.reserveCapacity(FrameHeader.byteCount)
    for number in [header.length, header.sequence, header.checksum(of: frame.payload)] {
      for shift in stride(from: 0, to: 32, by: 8) {
        bytes.append(UInt8(truncatingIfNeeded: number >> UInt32(shift)))
      }
    }
    return bytes
  }

  /// Header and payload in one.
  public mutating func encode(_ frame: Frame) -> [UInt8] { header(of: frame) + frame.payload }
}

/// Reads the frames of one direction of a connection, whatever pieces the bytes come in.
///
/// A frame's memory is taken after its length was compared with the limit, which is small for
/// strangers.
public struct FrameDecoder: Sendable {
  /// Most payload bytes of a frame; a longer one is refused by its header.
  public var frameLimit: Int
  private var header: [UInt8] = []
  private var expected: FrameHeader?
  private var checksum: UInt32 = 0
  private var payload: [UInt8] = []
  private var sequence: UInt32 = 0

  public init(frameLimit: Int) {
    self.frameLimit = frameLimit
    header.reserveCapacity(FrameHeader.byteCount)
  }

  /// Takes bytes up to the end of a frame.
  ///
  /// - Parameter offset: where in `bytes` to go on; moved behind what was taken.
  /// - Returns: the frame that became complete; nil where more bytes are needed.
  /// Throws: a fault after which the connection is of no more use.
  public mutating func next(
    _ bytes: RawSpan, from offset: inout Int
  ) throws(TransportFault) -> Frame? {
    if expected == nil {
      take(from: bytes, &offset, count: FrameHeader.byteCount - header.count, into: &header)
      guard header.count == FrameHeader.byteCount else {
        try checkBeginning()
        return nil
      }
      try readHeader()
    }
    guard let expected else { return nil }
    take(from: bytes, &offset, count: Int(expected.length) - payload.count, into: &payload)
    guard payload.count == Int(expected.length) else { return nil }
    guard expected.checksum(of: payload) == checksum else {
      throw TransportFault(
        "checksum", "a frame of kind \(expected.kind) was damaged on its way: its checksum differs")
    }
    let frame = Frame(kind: expected.kind, payload: payload)
    self.expected = nil
    header.removeAll(keepingCapacity: true)
    payload = []
    return frame
  }

  /// Whether the bytes so far end between two frames.
  public var isAtBoundary: Bool { header.isEmpty && expected == nil }

  private func take(
    from bytes: RawSpan, _ offset: inout Int, count: Int, into destination: inout [UInt8]
  ) {
    let count = min(count, bytes.byteCount - offset)
    guard count > 0 else { return }
    let piece = bytes.extracting(offset..<offset + count)
    unsafe piece.withUnsafeBytes { unsafe destination.append(contentsOf: $0) }
    offset += count
  }

  /// Refuses a stranger by its first bytes, before it has sent a whole header.
  private func checkBeginning() throws(TransportFault) {
    let known = FrameHeader.magic + [FrameHeader.version]
    guard header.prefix(known.count).elementsEqual(known.prefix(header.count)) else {
      throw unknownBeginning
    }
  }

  private var unknownBeginning: TransportFault {
    // The records of TLS begin with these.
    if (0x14...0x17).contains(header[0]) {
      return .oneSideIsEncrypted("the other side speaks TLS and this one does not")
    }
    guard header.prefix(2).elementsEqual(FrameHeader.magic.prefix(header.count)) else {
      return TransportFault("notANode", "the other side does not speak the shard protocol")
    }
    return TransportFault(
      "version",
      "the other side speaks version \(header[2]) of the frame format, this one version "
        + "\(FrameHeader.version); use the same release on all nodes")
  }

  private mutating func readHeader() throws(TransportFault) {
    guard header.prefix(3).elementsEqual(FrameHeader.magic + [FrameHeader.version]) else {
      throw unknownBeginning
    }
    let length = number(at: 4)
    guard Int(length) <= frameLimit else {
      throw TransportFault(
        "frameTooLong", "a frame announces \(length) bytes where at most \(frameLimit) are allowed")
    }
    guard number(at: 8) == sequence else {
      throw TransportFault(
        "sequence", "frame \(number(at: 8)) came where frame \(sequence) was due")
    }
    sequence &+= 1
    checksum = number(at: 12)
    expected = FrameHeader(kind: header[3], length: length, sequence: number(at: 8))
    payload.reserveCapacity(Int(length))
  }

  private func number(at offset: Int) -> UInt32 {
    (0..<4).reduce(0) { $0 | UInt32(header[offset + $1]) << UInt32(8 * $1) }
  }
}
