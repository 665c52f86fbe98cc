/// The four normalization forms.
///
/// Source: Unicode Standard Annex 15; data of Unicode 16.0.
struct UnicodeNormalization: Sendable {
  enum Form: String, Sendable { case NFC, NFD, NFKC, NFKD }

  private static let canonical = DecompositionTables(isCompatibility: false)
  private static let compatibility = DecompositionTables(isCompatibility: true)

  let form: Form
  private let tables: DecompositionTables
  private let composes: Bool
  /// Scalars below this need no look: they are normalized and never combine.
  private let firstAffected: UInt32

  init(_ form: Form) {
    self.form = form
    composes = form == .NFC || form == .NFKC
    tables = form == .NFC || form == .NFD ? Self.canonical : Self.compatibility
    switch form {
    case .NFC: firstAffected = 0x300
    case .NFD: firstAffected = 0xC0
    case .NFKC, .NFKD: firstAffected = 0xA0
    }
  }

  func normalize(_ bytes: [UInt8]) -> [UInt8] {
    guard let first = firstOffsetToNormalize(bytes) else { return bytes }
    var result = Array(bytes[..<first])
    result.reserveCapacity(bytes.count + 16)
    var buffer: [(scalar: UInt32, combiningClass: UInt8)] = []
    var offset = first
    while offset < bytes.count {
      let (scalar, length) = UTF8Text.scalar(bytes, offset)
      offset += length
      // A starter below the first affected scalar ends what came before; nothing composes with it
      // as a second part.
      if scalar < firstAffected, !buffer.isEmpty { flush(&buffer, into: &result) }
      decompose(scalar, into: &buffer)
    }
    flush(&buffer, into: &result)
    return result
  }

  /// Where the text stops being normalized by inspection, one starter earlier.
  private func firstOffsetToNormalize(_ bytes: [UInt8]) -> Int? {
    var offset = 0
    var previous = 0
    while offset < bytes.count {
      if bytes[offset] < 0x80 {
        previous = offset
        offset += 1
        continue
      }
      let (scalar, length) = UTF8Text.scalar(bytes, offset)
      if scalar >= firstAffected { return previous }
      previous = offset
      offset += length
    }
    return nil
  }

  private func decompose(
    _ scalar: UInt32, into buffer: inout [(scalar: UInt32, combiningClass: UInt8)]
  ) {
    if scalar < 0xA0 {
      buffer.append((scalar, 0))
    } else if Hangul.isSyllable(scalar) {
      for part in Hangul.decomposition(scalar) { buffer.append((part, 0)) }
    } else if let parts = tables.decompositions[scalar] {
      for part in parts { buffer.append((part, tables.combiningClass(part))) }
    } else {
      buffer.append((scalar, tables.combiningClass(scalar)))
    }
  }

  /// Orders the marks, composes, and writes what is in the buffer.
  private func flush(
    _ buffer: inout [(scalar: UInt32, combiningClass: UInt8)], into result: inout [UInt8]
  ) {
    orderMarks(&buffer)
    if composes { compose(&buffer) }
    for (scalar, _) in buffer { UTF8Text.append(scalar, to: &result) }
    buffer.removeAll(keepingCapacity: true)
  }

  private func orderMarks(_ buffer: inout [(scalar: UInt32, combiningClass: UInt8)]) {
    var start = 0
    while start < buffer.count {
      guard buffer[start].combiningClass != 0 else {
        start += 1
        continue
      }
      var end = start
      while end < buffer.count, buffer[end].combiningClass != 0 { end += 1 }
      if end - start > 1 {
        // Sorted by class, in the old order within a class.
        let ordered = buffer[start..<end].enumerated().sorted {
          ($0.element.combiningClass, $0.offset) < ($1.element.combiningClass, $1.offset)
        }
        for (index, mark) in ordered.enumerated() { buffer[start + index] = mark.element }
      }
      start = end
    }
  }

  private func compose(_ buffer: inout [(scalar: UInt32, combiningClass: UInt8)]) {
    guard buffer.count > 1 else { return }
    var starter: Int?
    var lastClass: UInt8 = 0
    var written = 0
    for read in 0..<buffer.count {
      let (scalar, combiningClass) = buffer[read]
      // Blocked by what stands between, unless that has a lower class.
      if let position = starter, position == written - 1 || lastClass < combiningClass,
        let composed = composition(buffer[position].scalar, scalar)
      {
        buffer[position].scalar = composed
        continue
      }
      if combiningClass == 0 { starter = written }
      lastClass = combiningClass
      buffer[written] = (scalar, combiningClass)
      written += 1
    }
    buffer.removeSubrange(written...)
  }

  private func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
    Hangul.composition(first, second)
      ?? Self.canonical.compositions[UInt64(first) << 32 | UInt64(second)]
  }
}

/// Hangul syllables are composed by arithmetic.
private enum Hangul {
  static func isSyllable(_ scalar: UInt32) -> Bool { scalar >= 0xAC00 && scalar < 0xAC00 + 11172 }

  static func decomposition(_ scalar: UInt32) -> [UInt32] {
    let index = scalar - 0xAC00
    let parts = [0x1100 + index / 588, 0x1161 + index % 588 / 28]
    return index % 28 == 0 ? parts : parts + [0x11A7 + index % 28]
  }

  static func composition(_ first: UInt32, _ second: UInt32) -> UInt32? {
    if first >= 0x1100, first < 0x1100 + 19, second >= 0x1161, second < 0x1161 + 21 {
      return 0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * 28
    }
    if isSyllable(first), (first - 0xAC00) % 28 == 0, second > 0x11A7, second < 0x11A7 + 28 {
      return first + second - 0x11A7
    }
    return nil
  }
}
