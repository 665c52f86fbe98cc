/// A set of scalars, as an expression that is evaluated per scalar.
indirect enum ScalarSet: Sendable {
  case ranges([ClosedRange<UInt32>])
  case categories(CategorySet)
  case property(Property)
  case complement(ScalarSet)
  case union([ScalarSet])
  case intersection(ScalarSet, ScalarSet)
  /// Scalars of which some case variant is in the set.
  case caseInsensitive(ScalarSet)

  /// Properties that are no union of general categories.
  enum Property: Sendable {
    case alphabetic, uppercase, lowercase
  }

  static func scalar(_ scalar: UInt32) -> ScalarSet { .ranges([scalar...scalar]) }
  static let any = ScalarSet.categories(.all)
  static let newline = ScalarSet.scalar(0x0A)
  static let digit = ScalarSet.categories(CategorySet(.Nd))
  static let space = ScalarSet.categories(.whiteSpace)
  static let hexadecimalDigit = ScalarSet.ranges([0x30...0x39, 0x41...0x46, 0x61...0x66])
  /// What `\w` means: letters, marks, decimal and letter numbers, connectors, circled letters.
  static let word = ScalarSet.union([
    .categories([.letter, .mark, CategorySet([.Nd, .Nl, .Pc])]),
    .ranges(circledLetters),
    .ranges([0xB2...0xB3, 0xB9...0xB9, 0xBC...0xBE]),
  ])
  /// Symbols that count as alphabetic.
  static let circledLetters: [ClosedRange<UInt32>] = [
    0x24B6...0x24E9, 0x1F130...0x1F149, 0x1F150...0x1F169, 0x1F170...0x1F189,
  ]

  func contains(_ scalar: UInt32) -> Bool {
    switch self {
    case .ranges(let ranges): Self.contains(ranges, scalar)
    case .categories(let categories): GeneralCategories.shared.contains(categories, scalar)
    case .property(let property): property.contains(scalar)
    case .complement(let set): !set.contains(scalar)
    case .union(let sets): sets.contains { $0.contains(scalar) }
    case .intersection(let left, let right): left.contains(scalar) && right.contains(scalar)
    case .caseInsensitive(let set):
      set.contains(scalar) || CaseVariants.of(scalar).contains { set.contains($0) }
    }
  }

  /// Few ranges are looked through, many (a script) halved.
  private static func contains(_ ranges: [ClosedRange<UInt32>], _ scalar: UInt32) -> Bool {
    if ranges.count <= 8 { return ranges.contains { $0.contains(scalar) } }
    var low = 0
    var high = ranges.count
    while low < high {
      let middle = (low + high) / 2
      if ranges[middle].upperBound < scalar { low = middle + 1 } else { high = middle }
    }
    return low < ranges.count && ranges[low].contains(scalar)
  }
}

extension ScalarSet.Property {
  func contains(_ value: UInt32) -> Bool {
    guard let scalar = Unicode.Scalar(value) else { return false }
    switch self {
    case .alphabetic: return scalar.properties.isAlphabetic
    case .uppercase: return scalar.properties.isUppercase
    case .lowercase: return scalar.properties.isLowercase
    }
  }
}

/// Scalars that differ only in case.
enum CaseVariants {
  static func of(_ value: UInt32) -> [UInt32] {
    guard let scalar = Unicode.Scalar(value) else { return [] }
    var variants: [UInt32] = []
    func add(_ mapping: String) {
      let scalars = mapping.unicodeScalars
      guard let only = scalars.first, scalars.count == 1 else { return }
      if only.value != value, !variants.contains(only.value) { variants.append(only.value) }
    }
    let properties = scalar.properties
    add(properties.lowercaseMapping)
    add(properties.uppercaseMapping)
    add(properties.titlecaseMapping)
    for variant in variants {
      guard let other = Unicode.Scalar(variant) else { continue }
      add(other.properties.lowercaseMapping)
      add(other.properties.uppercaseMapping)
    }
    return variants
  }
}

/// A scalar set with its ASCII part as a bitmap.
struct CompiledScalarSet: Sendable {
  private let low: UInt64
  private let high: UInt64
  private let set: ScalarSet

  init(_ set: ScalarSet) {
    self.set = set
    func bits(_ start: UInt32) -> UInt64 {
      (0..<64).reduce(0) { set.contains(start + UInt32($1)) ? $0 | 1 << UInt64($1) : $0 }
    }
    low = bits(0)
    high = bits(64)
  }

  @inline(__always)
  func contains(_ scalar: UInt32) -> Bool {
    if scalar < 64 { return low >> UInt64(scalar) & 1 != 0 }
    if scalar < 128 { return high >> UInt64(scalar - 64) & 1 != 0 }
    return set.contains(scalar)
  }
}
