/// A general category of the Unicode Character Database; the order is that of the table.
enum GeneralCategory: UInt8, CaseIterable, Sendable {
  case Lu, Ll, Lt, Lm, Lo, Mn, Mc, Me, Nd, Nl, No, Pc, Pd, Ps, Pe, Pi, Pf, Po, Sm, Sc, Sk, So
  case Zs, Zl, Zp, Cc, Cf, Cs, Co, Cn
  /// Not of the database: the control characters that are white space (U+0009…U+000D, U+0085).
  case whiteSpaceControl
}

/// A set of general categories as one bit each.
struct CategorySet: OptionSet, Sendable, Hashable {
  let rawValue: UInt32

  init(rawValue: UInt32) { self.rawValue = rawValue }

  init(_ category: GeneralCategory) { rawValue = 1 << UInt32(category.rawValue) }

  init(_ categories: [GeneralCategory]) {
    rawValue = categories.reduce(0) { $0 | 1 << UInt32($1.rawValue) }
  }

  static let letter = CategorySet([.Lu, .Ll, .Lt, .Lm, .Lo])
  static let mark = CategorySet([.Mn, .Mc, .Me])
  static let number = CategorySet([.Nd, .Nl, .No])
  static let punctuation = CategorySet([.Pc, .Pd, .Ps, .Pe, .Pi, .Pf, .Po])
  static let symbol = CategorySet([.Sm, .Sc, .Sk, .So])
  static let separator = CategorySet([.Zs, .Zl, .Zp])
  static let control = CategorySet([.Cc, .whiteSpaceControl])
  static let other = CategorySet([.Cc, .Cf, .Cs, .Co, .Cn, .whiteSpaceControl])
  /// The property White_Space.
  static let whiteSpace = CategorySet([.Zs, .Zl, .Zp, .whiteSpaceControl])
  static let all = CategorySet(GeneralCategory.allCases)
}

/// The general category of every code point, in two stages of 256.
///
/// Source: Unicode Character Database 16.0, the version other tokenizer libraries follow.
struct GeneralCategories: Sendable {
  static let shared = GeneralCategories()

  /// Start of each block of 256 code points in `categories`.
  private let blocks: [UInt16]
  /// Distinct blocks one after the other, each 256 long.
  private let categories: [UInt8]

  private init() {
    var flat: [UInt8] = []
    flat.reserveCapacity(0x110000)
    var category: UInt8 = 0
    var length = 0
    func finish() {
      flat.append(contentsOf: repeatElement(category, count: length))
      length = 0
    }
    for byte in generalCategoryRuns.utf8 {
      switch byte {
      case 0x30...0x39: length = length * 36 + Int(byte - 0x30)
      case 0x61...0x7A: length = length * 36 + Int(byte - 0x61 + 10)
      case 0x41...0x5A:
        finish()
        category = byte - 0x41
      default:
        finish()
        category = byte - 0x21 + (byte == 0x21 ? 26 : 25)
      }
    }
    finish()
    for control in [0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x85] {
      flat[control] = GeneralCategory.whiteSpaceControl.rawValue
    }
    (blocks, categories) = Self.compress(flat)
  }

  private static func compress(_ flat: [UInt8]) -> ([UInt16], [UInt8]) {
    var blocks: [UInt16] = []
    var distinct: [UInt8] = []
    var known: [ArraySlice<UInt8>: UInt16] = [:]
    for start in stride(from: 0, to: flat.count, by: 256) {
      let block = flat[start..<(start + 256)]
      if let index = known[block] {
        blocks.append(index)
      } else {
        let index = UInt16(distinct.count / 256)
        known[block] = index
        blocks.append(index)
        distinct.append(contentsOf: block)
      }
    }
    return (blocks, distinct)
  }

  /// The category's bit.
  @inline(__always)
  func bit(_ scalar: UInt32) -> UInt32 {
    1 << UInt32(categories[Int(blocks[Int(scalar >> 8)]) << 8 | Int(scalar & 0xFF)])
  }

  @inline(__always)
  func contains(_ set: CategorySet, _ scalar: UInt32) -> Bool {
    bit(scalar) & set.rawValue != 0
  }

  func category(_ scalar: UInt32) -> GeneralCategory {
    let code = categories[Int(blocks[Int(scalar >> 8)]) << 8 | Int(scalar & 0xFF)]
    return GeneralCategory(rawValue: code) ?? .Cn
  }
}
