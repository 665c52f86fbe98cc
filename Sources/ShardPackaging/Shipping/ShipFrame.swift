import TensorCore

/// A chunk of a node's blobs, by its place in the manifest.
struct ChunkIndex: Hashable, Comparable, Sendable {
  /// In the order of `NodeContent.blobs`.
  let blob: Int
  /// In the order of the blob.
  let chunk: Int

  static func < (left: ChunkIndex, right: ChunkIndex) -> Bool {
    (left.blob, left.chunk) < (right.blob, right.chunk)
  }
}

/// One message between the two sides of a shipment (docs/shipping.md).
enum ShipFrame: Equatable, Sendable {
  /// Sender: a file beside the blobs.
  case file(name: String, bytes: [UInt8])
  /// Sender: there are no more files; what is missing?
  case begin
  /// Sender: the stored bytes of a chunk.
  case chunk(ChunkIndex, bytes: [UInt8])
  /// Receiver: that many bytes of what it has were compared with their digests.
  case checking(done: Int, total: Int)
  /// Receiver: the chunks that it lacks, in ascending order.
  case need([ChunkIndex])
  /// Receiver: that many bytes of chunks were written since `need`, and had the right digests.
  case stored(Int)
  /// Receiver: a chunk was not on the disk as it was sent; it is needed once more.
  case again(ChunkIndex)
  /// Receiver: the node's directory is in its place.
  case installed(ShipReceipt)
  /// Receiver: it gives up, and why.
  case failed(ShipFailure)
}

/// What came of a shipment, as the receiver saw it.
public struct ShipReceipt: Equatable, Sendable {
  /// Bytes of chunks that came over the wire and were kept.
  public let receivedByteCount: Int
  /// Bytes of chunks that were there already.
  public let keptByteCount: Int
  /// Whether another node directory stood there before.
  public let replacedOlder: Bool
}

/// A receiver's fault on its way to the sender.
struct ShipFailure: Equatable, Sendable {
  let code: String
  let message: String
  let exitStatus: ExitStatus

  init(_ fault: any Fault) {
    code = fault.code
    message = fault.message
    exitStatus = fault.exitStatus
  }

  init(code: String, message: String, exitStatus: ExitStatus) {
    self.code = code
    self.message = message
    self.exitStatus = exitStatus
  }

  /// The fault again, on the sender's side.
  ///
  /// - Parameter place: the machine it comes from; nil for this one.
  func fault(at place: String?) -> PackageFault {
    PackageFault(
      code: code, place.map { "\($0): \(message)" } ?? message, exitStatus: exitStatus,
      context: place.map { ["target": $0] } ?? [:])
  }
}

extension ShipFrame {
  /// What both sides say first, so that each knows whom it talks to.
  static let greeting = Array("shardship/1\n".utf8)
  /// A kind and a length.
  static let headerByteCount = 5

  /// The bytes of the frame, its header first.
  var bytes: [UInt8] {
    var writer = ByteWriter()
    switch self {
    case .file(let name, let content):
      writer.begin(.file, reserving: content.count + 80)
      writer.append(name)
      writer.bytes += content
    case .begin: writer.begin(.begin)
    case .chunk(let index, let content):
      writer.begin(.chunk, reserving: content.count + 16)
      writer.append(index)
      writer.bytes += content
    case .checking(let done, let total):
      writer.begin(.checking)
      writer.append(UInt64(done))
      writer.append(UInt64(total))
    case .need(let indices):
      writer.begin(.need, reserving: 8 * indices.count)
      for index in indices { writer.append(index) }
    case .stored(let count):
      writer.begin(.stored)
      writer.append(UInt64(count))
    case .again(let index):
      writer.begin(.again)
      writer.append(index)
    case .installed(let receipt):
      writer.begin(.installed)
      writer.append(UInt64(receipt.receivedByteCount))
      writer.append(UInt64(receipt.keptByteCount))
      writer.bytes.append(receipt.replacedOlder ? 1 : 0)
    case .failed(let failure):
      writer.begin(.failed)
      writer.bytes.append(UInt8(failure.exitStatus.rawValue))
      writer.append(failure.code.prefixOfBytes(FrameKind.codeByteCount))
      writer.bytes += failure.message.prefixOfBytes(FrameKind.messageByteCount).utf8
    }
    return writer.finish()
  }

  /// Reads a frame whose header was checked.
  ///
  /// Throws: `PackageFault` where the payload is not what its kind has.
  init(_ kind: FrameKind, payload: [UInt8]) throws(PackageFault) {
    var reader = ByteReader(bytes: payload[...])
    switch kind {
    case .file:
      let name = try reader.text()
      self = .file(name: name, bytes: Array(reader.bytes))
      return
    case .begin: self = .begin
    case .chunk:
      let index = try reader.index()
      self = .chunk(index, bytes: Array(reader.bytes))
      return
    case .checking: self = .checking(done: try reader.count(), total: try reader.count())
    case .need:
      var indices: [ChunkIndex] = []
      indices.reserveCapacity(payload.count / 8)
      while !reader.bytes.isEmpty { indices.append(try reader.index()) }
      self = .need(indices)
    case .stored: self = .stored(try reader.count())
    case .again: self = .again(try reader.index())
    case .installed:
      self = .installed(
        ShipReceipt(
          receivedByteCount: try reader.count(), keptByteCount: try reader.count(),
          replacedOlder: try reader.byte() == 1))
    case .failed:
      let status = ExitStatus(rawValue: Int32(try reader.byte())) ?? .badData
      let code = try reader.text()
      let message = String(decoding: reader.bytes, as: UTF8.self)
      self = .failed(
        ShipFailure(
          code: code, message: message, exitStatus: status == .done ? .badData : status))
      return
    }
    guard reader.bytes.isEmpty else { throw ByteReader.malformed }
  }
}

extension String {
  /// As much of a text as has at most that many bytes.
  fileprivate func prefixOfBytes(_ count: Int) -> String {
    utf8.count <= count ? self : String(decoding: Array(utf8.prefix(count)), as: UTF8.self)
  }
}

/// What a frame's first byte says.
enum FrameKind: UInt8, CaseIterable, Sendable {
  case file = 1
  case begin = 2
  case chunk = 3
  case checking = 65
  case need = 66
  case stored = 67
  case again = 68
  case installed = 69
  case failed = 70

  static let codeByteCount = 64
  static let messageByteCount = 4096
  /// Chunks that a manifest of its largest size can describe: each takes over 200 bytes there.
  static let chunkCountLimit = ManifestLimits.manifestByteCount / 128

  /// The most bytes of payload.
  var limit: Int {
    switch self {
    case .file:
      1 + FrameKind.codeByteCount + (BundleFiles.small.map(\.byteCountLimit).max() ?? 0)
    case .begin: 0
    case .chunk: 8 + ManifestLimits.chunkByteCount
    case .checking: 16
    case .need: 8 * FrameKind.chunkCountLimit
    case .stored: 8
    case .again: 8
    case .installed: 17
    case .failed: 2 + FrameKind.codeByteCount + FrameKind.messageByteCount
    }
  }

  /// Reads the five bytes before a payload.
  static func header(
    _ bytes: ArraySlice<UInt8>
  ) throws(PackageFault) -> (kind: FrameKind, byteCount: Int) {
    guard bytes.count == ShipFrame.headerByteCount, let first = bytes.first,
      let kind = FrameKind(rawValue: first)
    else { throw ByteReader.malformed }
    let length = bytes.dropFirst().reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= kind.limit else { throw ByteReader.malformed }
    return (kind, length)
  }
}

private struct ByteWriter {
  var bytes: [UInt8] = []

  mutating func begin(_ kind: FrameKind, reserving count: Int = 32) {
    bytes.reserveCapacity(count + ShipFrame.headerByteCount)
    bytes += [kind.rawValue, 0, 0, 0, 0]
  }

  mutating func append(_ value: UInt32) {
    for shift in stride(from: UInt32(0), to: 32, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: value >> shift))
    }
  }

  mutating func append(_ value: UInt64) {
    append(UInt32(truncatingIfNeeded: value))
    append(UInt32(truncatingIfNeeded: value >> 32))
  }

  mutating func append(_ index: ChunkIndex) {
    append(UInt32(index.blob))
    append(UInt32(index.chunk))
  }

  /// A text of at most 255 bytes behind its length.
  mutating func append(_ text: String) {
    precondition(text.utf8.count < 256, "a text of \(text.utf8.count) bytes")
    bytes.append(UInt8(text.utf8.count))
    bytes += text.utf8
  }

  func finish() -> [UInt8] {
    var bytes = bytes
    let length = bytes.count - ShipFrame.headerByteCount
    for place in 0..<4 { bytes[1 + place] = UInt8(truncatingIfNeeded: length >> (8 * place)) }
    return bytes
  }
}

private struct ByteReader {
  var bytes: ArraySlice<UInt8>

  static let malformed = PackageFault(
    "shipProtocol",
    "the other side does not speak this program's shipping protocol; install the same version "
      + "on both machines")

  mutating func byte() throws(PackageFault) -> UInt8 {
    guard let byte = bytes.popFirst() else { throw Self.malformed }
    return byte
  }

  private mutating func number(_ byteCount: Int) throws(PackageFault) -> UInt64 {
    guard bytes.count >= byteCount else { throw Self.malformed }
    let value = bytes.prefix(byteCount).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    bytes = bytes.dropFirst(byteCount)
    return value
  }

  /// A count of bytes: no shipment has 2⁵⁶.
  mutating func count() throws(PackageFault) -> Int {
    let value = try number(8)
    guard value < 1 << 56 else { throw Self.malformed }
    return Int(value)
  }

  mutating func index() throws(PackageFault) -> ChunkIndex {
    ChunkIndex(blob: Int(try number(4)), chunk: Int(try number(4)))
  }

  mutating func text() throws(PackageFault) -> String {
    let count = Int(try byte())
    guard count <= FrameKind.codeByteCount, bytes.count >= count else { throw Self.malformed }
    let text = String(decoding: bytes.prefix(count), as: UTF8.self)
    bytes = bytes.dropFirst(count)
    return text
  }
}

extension PackageFault {
  /// The other side broke the rules of docs/shipping.md.
  static var shipProtocol: PackageFault { ByteReader.malformed }
}
