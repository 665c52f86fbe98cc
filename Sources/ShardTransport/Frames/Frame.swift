/// One message between two nodes: what kind it is and its bytes.
///
/// On the wire (all numbers little-endian):
///
///     0  magic     2 bytes  "sh"
///     2  version   1        1
///     3  kind      1
///     4  length    4        of the payload
///     8  sequence  4        0, 1, 2 … in each direction of a connection
///    12  checksum  4        low half of XXH64 over the payload, seeded with bytes 0 ..< 12
///    16  payload
///
/// `docs/protocol.md` is normative.
public struct Frame: Sendable, Equatable {
  public let kind: UInt8
  public let payload: [UInt8]

  public init(kind: UInt8, payload: [UInt8] = []) {
    self.kind = kind
    self.payload = payload
  }

  /// Bytes on the wire.
  public var byteCount: Int { FrameHeader.byteCount + payload.count }

  /// Whether the frame counts against the receiver's window: results and hidden states do,
  /// control messages do not.
  public var isData: Bool { kind >= Self.firstDataKind }

  /// Kinds that the links use among themselves.
  static let heartbeat: UInt8 = 0
  static let credit: UInt8 = 1
  static let farewell: UInt8 = 2

  /// Kinds from here on are the protocol's control messages.
  public static let firstControlKind: UInt8 = 16
  /// Kinds from here on are data.
  public static let firstDataKind: UInt8 = 64
}

/// The first 16 bytes of a frame.
struct FrameHeader: Equatable {
  static let byteCount = 16
  static let magic: [UInt8] = [0x73, 0x68]
  static let version: UInt8 = 1

  var kind: UInt8
  var length: UInt32
  var sequence: UInt32

  /// Bytes 0 ..< 12 mixed into the checksum's seed.
  private var seed: UInt64 {
    let first =
      UInt64(Self.magic[0]) | UInt64(Self.magic[1]) << 8 | UInt64(Self.version) << 16
      | UInt64(kind) << 24 | UInt64(length) << 32
    return first ^ (UInt64(sequence) &+ 1) &* 0x9E37_79B1_85EB_CA87
  }

  /// The checksum that belongs to this header and a payload.
  func checksum(of payload: [UInt8]) -> UInt32 {
    UInt32(truncatingIfNeeded: unsafe XXH64.hash(payload.span.bytes, seed: seed))
  }
}
