import Quantization
import TensorCore

/// One plane or file on its way into a blob.
struct PackContent: Sendable {
  enum Source: Sendable {
    case plane(StoredTensor, index: Int)
    case file(name: String, bytes: [UInt8])
  }

  let source: Source
  let ranges: ChunkRanges
  let rule: ChunkRule

  init(plane index: Int, of tensor: StoredTensor, chunkByteCount: Int) {
    let layout = tensor.planes[index]
    source = .plane(tensor, index: index)
    ranges = ChunkRanges(plane: layout, chunkByteCount: chunkByteCount)
    rule = ChunkRule(plane: layout, scheme: tensor.scheme)
  }

  init(file name: String, bytes: [UInt8], chunkByteCount: Int) {
    source = .file(name: name, bytes: bytes)
    ranges = ChunkRanges(byteCount: bytes.count, step: chunkByteCount)
    rule = ChunkRule()
  }

  var chunkRanges: [Range<Int>] { (0..<ranges.count).map { ranges[$0] } }
}

/// What goes into one blob, in order.
struct PackBlob: Sendable {
  let contents: [PackContent]

  init(tensors: [StoredTensor], chunkByteCount: Int) {
    contents = tensors.flatMap { tensor in
      tensor.planes.indices.map {
        PackContent(plane: $0, of: tensor, chunkByteCount: chunkByteCount)
      }
    }
  }

  init(files: [(name: String, bytes: [UInt8])], chunkByteCount: Int) {
    contents = files.map {
      PackContent(file: $0.name, bytes: $0.bytes, chunkByteCount: chunkByteCount)
    }
  }

  var byteCount: Int { contents.reduce(0) { $0 + $1.ranges.byteCount } }
}

/// A blob that is on the disk.
struct PackedBlob: Sendable {
  let reference: BlobReference
  /// The chunks of each content.
  let chunks: [[Chunk]]
  /// The sum of the chunks' entropy bounds, for each content.
  let bounds: [Int]
}

extension QuantizedCheckpoint {
  /// Reads a range of a content into the beginning of a buffer.
  func read(_ range: Range<Int>, of content: PackContent, into buffer: AlignedBuffer) throws {
    try buffer.withMutablePrefix(range.count) { bytes in
      switch content.source {
      case .plane(let tensor, let index):
        try readPlane(tensor, plane: index, bytes: range, into: &bytes)
      case .file(_, let file):
        unsafe bytes.withUnsafeMutableBytes { target in
          unsafe target.copyBytes(from: file[range])
        }
      }
    }
  }
}
