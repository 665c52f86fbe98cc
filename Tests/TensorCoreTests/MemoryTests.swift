import TensorCore
import Testing

@Suite struct MemoryTests {
  /// Sizes on both sides of the border between the heap and mapped memory.
  @Test(arguments: [0, 1, 63, 64, 65, 4096, 1 << 20, (1 << 20) - 64, 9_000_001])
  func buffersAreAlignedAndZero(byteCount: Int) {
    let buffer = AlignedBuffer(byteCount: byteCount)
    #expect(buffer.byteCount == byteCount)
    #expect(unsafe UInt(bitPattern: buffer.pointer) % 64 == 0)
    let sum = buffer.withElements(of: UInt8.self) { span in
      span.indices.reduce(0) { $0 + Int(span[$1]) }
    }
    #expect(sum == 0)
    buffer.withBytes { #expect($0.byteCount == byteCount) }
  }

  /// Pieces of an arena do not overlap, outlive it, and come from elsewhere when it is full.
  @Test func arenasAreSharedPieceByPiece() {
    let sizes = [100, 0, 64, 3 << 20, 1, 4096]
    var buffers: [AlignedBuffer] = []
    do {
      let arena = MemoryArena(byteCount: sizes.reduce(0) { $0 + MemoryArena.space($1) })
      // The last does not fit any more.
      buffers = (sizes + [65]).map { AlignedBuffer(byteCount: $0, in: arena) }
      let starts = buffers.dropLast().map { unsafe UInt(bitPattern: $0.pointer) }
      #expect(starts[0] % (2 << 20) == 0)
      for (index, size) in sizes.enumerated() where index > 0 {
        #expect(starts[index] == starts[index - 1] + UInt(MemoryArena.space(sizes[index - 1])))
        #expect(starts[index] + UInt(size) <= starts[0] + UInt(arena.byteCount))
      }
      let last = unsafe UInt(bitPattern: buffers[sizes.count].pointer)
      #expect(last + 65 <= starts[0] || last >= starts[0] + UInt(arena.byteCount))
    }
    for (number, buffer) in buffers.enumerated() {
      buffer.withMutableElements(of: UInt8.self) { span in
        for index in span.indices { span[index] += UInt8(number + 1) }
      }
    }
    for (number, buffer) in buffers.enumerated() {
      let isWhole = buffer.withElements(of: UInt8.self) { span in
        span.indices.allSatisfy { span[$0] == UInt8(number + 1) }
      }
      #expect(isWhole && buffer.byteCount == (sizes + [65])[number])
    }
  }

  @Test func buffersKeepWhatIsWritten() {
    let buffer = AlignedBuffer(byteCount: 40)
    buffer.withMutableElements(of: Float.self) { span in
      for index in span.indices { span[index] = Float(index) }
    }
    buffer.withMutableBytes { bytes in bytes.storeBytes(of: 0, toByteOffset: 0, as: UInt32.self) }
    #expect(buffer.withElements(of: Float.self) { $0.count } == 10)
    #expect(buffer.withElements(of: Float.self) { $0[9] } == 9)
  }

  @Test(arguments: [(3, 1), (2, 16), (5, 17), (1, 0), (0, 8)])
  func matricesPadTheirRows(rows: Int, columns: Int) {
    let matrix = Matrix(rows: rows, columns: columns)
    #expect(matrix.stride % 16 == 0 && matrix.stride >= columns && matrix.stride < columns + 16)
    #expect(Matrix.byteCount(rows: rows, columns: columns) == matrix.storage.byteCount)
    for row in 0..<rows {
      matrix.withMutableRow(row) { span in
        for column in span.indices { span[column] = Float(100 * row + column) }
      }
    }
    for row in 0..<rows {
      #expect(matrix.row(row) == (0..<columns).map { Float(100 * row + $0) })
      #expect(matrix.withRow(row) { $0.count } == columns)
    }
    // The floats behind each row stay zero.
    let padding = matrix.storage.withElements(of: Float.self) { span in
      span.indices.filter { $0 % max(1, matrix.stride) >= columns }.allSatisfy { span[$0] == 0 }
    }
    #expect(padding)
  }

  @Test(arguments: DataType.allCases)
  func dataTypesKnowTheirSize(dataType: DataType) {
    #expect(DataType(rawValue: dataType.rawValue) == dataType)
    #expect(dataType.byteCount == max(1, dataType.bitCount / 8))
    #expect(dataType.byteCount(elements: 0) == 0)
    #expect(dataType.byteCount(elements: 8) == dataType.bitCount)
    #expect(dataType.byteCount(elements: Int.max) == nil)
    let odd = dataType.byteCount(elements: 3)
    #expect(dataType.bitCount < 8 ? odd == nil : odd == 3 * dataType.byteCount)
  }
}
