/// What stands under a key of a GGUF file.
public enum GGUFValue: Sendable, Equatable {
  case unsigned(UInt64)
  case signed(Int64)
  case float(Double)
  case bool(Bool)
  case string(String)
  case strings([String])
  case numbers(GGUFNumbers)

  /// The type numbers of the format.
  enum Kind: UInt32 {
    case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array
    case uint64, int64, float64

    /// Bytes of a value; 8, those of its length, for a string.
    var byteCount: Int {
      switch self {
      case .uint8, .int8, .bool: 1
      case .uint16, .int16: 2
      case .uint32, .int32, .float32: 4
      case .string, .uint64, .int64, .float64: 8
      case .array: 12
      }
    }
  }

  /// A whole number of any width; nil for others and those beyond 63 bits.
  public var int: Int? {
    switch self {
    case .unsigned(let number): Int(exactly: number)
    case .signed(let number): Int(exactly: number)
    default: nil
    }
  }

  public var double: Double? {
    switch self {
    case .float(let number): number
    default: int.map(Double.init)
    }
  }

  public var string: String? { if case .string(let text) = self { text } else { nil } }
  public var bool: Bool? { if case .bool(let flag) = self { flag } else { nil } }
  public var strings: [String]? { if case .strings(let texts) = self { texts } else { nil } }
  public var numbers: GGUFNumbers? { if case .numbers(let array) = self { array } else { nil } }

  /// For sentences.
  public var kindName: String {
    switch self {
    case .unsigned, .signed: "a whole number"
    case .float: "a number"
    case .bool: "true or false"
    case .string: "a string"
    case .strings: "an array of strings"
    case .numbers: "an array of numbers"
    }
  }
}

/// An array of numbers or truth values, kept as the file's bytes.
public struct GGUFNumbers: Sendable, Equatable {
  let kind: GGUFValue.Kind
  let bytes: [UInt8]

  public var count: Int { bytes.count / kind.byteCount }

  /// One element.
  public subscript(index: Int) -> GGUFValue {
    GGUFValue(kind, bytes[index * kind.byteCount..<(index + 1) * kind.byteCount])
  }

  /// All elements; nil where one is no number.
  public var doubles: [Double]? {
    let values = (0..<count).compactMap { self[$0].double }
    return values.count == count ? values : nil
  }

  /// All elements; nil where one is no whole number.
  public var ints: [Int]? {
    let values = (0..<count).compactMap { self[$0].int }
    return values.count == count ? values : nil
  }
}

extension GGUFValue {
  /// A number or truth value of its bytes.
  init(_ kind: Kind, _ bytes: ArraySlice<UInt8>) {
    let bits = bytes.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    switch kind {
    case .int8: self = .signed(Int64(Int8(truncatingIfNeeded: bits)))
    case .int16: self = .signed(Int64(Int16(truncatingIfNeeded: bits)))
    case .int32: self = .signed(Int64(Int32(truncatingIfNeeded: bits)))
    case .int64: self = .signed(Int64(bitPattern: bits))
    case .float32: self = .float(Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits))))
    case .float64: self = .float(Double(bitPattern: bits))
    case .bool: self = .bool(bits != 0)
    default: self = .unsigned(bits)
    }
  }
}
