import CKernels
import TensorKernels

/// The encoders of one instruction set; all sets give the same bytes.
///
// SAFETY: the table is a constant of the program.
@safe struct BlockEncoders: @unchecked Sendable {
  private let table: UnsafePointer<ck_quantizer>

  /// Nil where the processor or the build lacks the set.
  init?(_ instructionSet: InstructionSet) {
    guard let table = unsafe ck_quantizer_find(instructionSet.index) else { return nil }
    unsafe self.table = unsafe table
  }

  @unsafe var functions: ck_quantizer { unsafe table.pointee }

  /// The best of this processor.
  static let best: BlockEncoders = {
    for set in InstructionSet.available {
      if let encoders = BlockEncoders(set) { return encoders }
    }
    preconditionFailure("the reference encoders are always there")
  }()

  /// Encodes rows into the three planes of a block scheme.
  ///
  /// - Parameter planes: replaced; arrays of the right lengths are used again.
  func encode(
    _ rows: Span<Float>, rowCount: Int, columns: Int, options: EncodingOptions,
    layouts: [PlaneLayout], into planes: inout [[UInt8]],
    _ function: (UnsafePointer<ck_encoding>) -> Void
  ) {
    precondition(
      rows.count == rowCount * columns,
      "\(rowCount) rows of \(columns) are not \(rows.count) floats")
    if let importance = options.importance {
      precondition(
        importance.count == columns, "\(importance.count) importances for \(columns) columns")
    }
    let lengths = layouts.map(\.byteCount)
    if planes.map(\.count) != lengths {
      planes = lengths.map { [UInt8](repeating: 0, count: $0) }
    }
    unsafe update(
      rows, rowCount: rowCount, columns: columns, options: options, planes: &planes, function)
  }

  /// Calls `function` on rows and the three planes that belong to them.
  func update(
    _ rows: Span<Float>, rowCount: Int, columns: Int, options: EncodingOptions = .standard,
    planes: inout [[UInt8]], _ function: (UnsafePointer<ck_encoding>) -> Void
  ) {
    guard rowCount > 0, columns > 0 else { return }
    var rowScales = (0..<rowCount).map { littleEndianFloat(planes[0], at: $0) }
    var codes = planes.removeLast()
    var blockScales = planes.removeLast()
    unsafe rows.withUnsafeBufferPointer { rows in
      unsafe rowScales.withUnsafeMutableBufferPointer { rowScales in
        unsafe blockScales.withUnsafeMutableBufferPointer { blockScales in
          unsafe codes.withUnsafeMutableBufferPointer { codes in
            unsafe withImportance(options.importance) { importance in
              var encoding = unsafe ck_encoding(
                x: rows.baseAddress.unsafelyUnwrapped, rows: rowCount, columns: columns,
                importance: importance, effort: options.effort.index,
                row_scale: rowScales.baseAddress.unsafelyUnwrapped,
                block_scale: blockScales.baseAddress.unsafelyUnwrapped,
                codes: codes.baseAddress.unsafelyUnwrapped)
              unsafe function(&encoding)
            }
          }
        }
      }
    }
    planes = [littleEndianBytes(rowScales), blockScales, codes]
  }

  private func withImportance(
    _ importance: [Float]?, _ body: (UnsafePointer<Float>?) -> Void
  ) {
    guard let importance else { return body(nil) }
    unsafe importance.withUnsafeBufferPointer { unsafe body($0.baseAddress) }
  }

  /// The values that three planes of sound lengths stand for.
  func decode(
    planes: [[UInt8]], rowCount: Int, columns: Int, into floats: inout MutableSpan<Float>,
    _ function: (
      UnsafePointer<Float>, UnsafePointer<UInt8>, UnsafePointer<UInt8>, Int, Int,
      UnsafeMutablePointer<Float>
    ) -> Void
  ) {
    precondition(
      floats.count == rowCount * columns,
      "\(rowCount) rows of \(columns) are not \(floats.count) floats")
    guard rowCount > 0, columns > 0 else { return }
    let rowScales = (0..<rowCount).map { littleEndianFloat(planes[0], at: $0) }
    unsafe rowScales.withUnsafeBufferPointer { rowScales in
      unsafe planes[1].withUnsafeBufferPointer { blockScales in
        unsafe planes[2].withUnsafeBufferPointer { codes in
          unsafe floats.withUnsafeMutableBufferPointer { floats in
            unsafe function(
              rowScales.baseAddress.unsafelyUnwrapped, blockScales.baseAddress.unsafelyUnwrapped,
              codes.baseAddress.unsafelyUnwrapped, rowCount, columns,
              floats.baseAddress.unsafelyUnwrapped)
          }
        }
      }
    }
  }
}

extension Effort {
  fileprivate var index: Int32 {
    switch self {
    case .fast: Int32(CK_EFFORT_FAST)
    case .standard: Int32(CK_EFFORT_DEFAULT)
    case .best: Int32(CK_EFFORT_BEST)
    }
  }
}

/// What is lost between weights and the values that stand for them.
public struct SquareSums: Sendable, Equatable {
  /// Σw².
  public var power: Double
  /// Σ(w − value)².
  public var errorPower: Double

  public init(power: Double = 0, errorPower: Double = 0) {
    self.power = power
    self.errorPower = errorPower
  }

  /// Adds those of some weights; the sums do not depend on the processor.
  public mutating func add(_ weights: Span<Float>, _ values: Span<Float>) {
    precondition(weights.count == values.count, "\(weights.count) and \(values.count) weights")
    var sums = [power, errorPower]
    unsafe weights.withUnsafeBufferPointer { weights in
      unsafe values.withUnsafeBufferPointer { values in
        guard let x = weights.baseAddress, let y = values.baseAddress else { return }
        unsafe BlockEncoders.best.functions.squares(x, y, weights.count, &sums)
      }
    }
    power = sums[0]
    errorPower = sums[1]
  }
}

/// Floats as little-endian bytes.
func littleEndianBytes(_ floats: [Float]) -> [UInt8] {
  var bytes: [UInt8] = []
  bytes.reserveCapacity(floats.count * 4)
  for float in floats {
    let bits = float.bitPattern
    for shift in [0, 8, 16, 24] as [UInt32] {
      bytes.append(UInt8(truncatingIfNeeded: bits >> shift))
    }
  }
  return bytes
}

/// The float in bytes 4 · index to 4 · index + 3.
func littleEndianFloat(_ bytes: [UInt8], at index: Int) -> Float {
  var bits: UInt32 = 0
  for offset in 0..<4 { bits |= UInt32(bytes[4 * index + offset]) << UInt32(8 * offset) }
  return Float(bitPattern: bits)
}
