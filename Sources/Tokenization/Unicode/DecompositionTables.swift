/// Decompositions, compositions and combining classes, read from the tables in `Data`.
struct DecompositionTables: Sendable {
  /// Full decompositions: no part decomposes further.
  let decompositions: [UInt32: [UInt32]]
  /// Pairs (first << 32 | second) and what they compose to; empty in compatibility tables.
  let compositions: [UInt64: UInt32]
  private let combiningClasses: [UInt32: UInt8]

  init(isCompatibility: Bool) {
    let canonical = Self.steps(canonicalDecompositions)
    var steps = canonical
    if isCompatibility {
      steps.merge(Self.steps(compatibilityDecompositions)) { first, _ in first }
    }
    decompositions = steps.mapValues { Self.expand($0, steps) }
    compositions = isCompatibility ? [:] : Self.compositions(canonical)
    var classes: [UInt32: UInt8] = [:]
    var start: UInt32 = 0
    for run in combiningClassRuns.utf8.split(separator: UInt8(ascii: ";")) {
      let fields = run.split(separator: UInt8(ascii: ",")).map(Self.number)
      start += fields[0]
      for scalar in start..<(start + fields[1]) { classes[scalar] = UInt8(fields[2]) }
    }
    combiningClasses = classes
  }

  func combiningClass(_ scalar: UInt32) -> UInt8 {
    scalar < 0x300 ? 0 : combiningClasses[scalar] ?? 0
  }

  private static func number(_ digits: Substring.UTF8View) -> UInt32 {
    UInt32(Substring(digits), radix: 16) ?? 0
  }

  private static func steps(_ table: String) -> [UInt32: [UInt32]] {
    var steps: [UInt32: [UInt32]] = [:]
    var source: UInt32 = 0
    for entry in table.utf8.split(separator: UInt8(ascii: ";")) {
      let sides = entry.split(separator: UInt8(ascii: ":"))
      let run = sides[0].split(separator: UInt8(ascii: "+")).map(number)
      let targets = sides[1].split(separator: UInt8(ascii: ",")).map(number)
      source += run[0]
      steps[source] = targets
      for _ in 1..<(run.count > 1 ? run[1] : 1) {
        source += 1
        steps[source] = [(steps[source - 1]?[0] ?? 0) + 1]
      }
    }
    return steps
  }

  private static func expand(_ scalars: [UInt32], _ steps: [UInt32: [UInt32]]) -> [UInt32] {
    scalars.flatMap { scalar in steps[scalar].map { expand($0, steps) } ?? [scalar] }
  }

  private static func compositions(_ canonical: [UInt32: [UInt32]]) -> [UInt64: UInt32] {
    var excluded: Set<UInt32> = []
    var scalar: UInt32 = 0
    for distance in compositionExclusions.utf8.split(separator: UInt8(ascii: ";")) {
      scalar += number(distance)
      excluded.insert(scalar)
    }
    var compositions: [UInt64: UInt32] = [:]
    for (scalar, parts) in canonical where parts.count == 2 && !excluded.contains(scalar) {
      compositions[UInt64(parts[0]) << 32 | UInt64(parts[1])] = scalar
    }
    return compositions
  }
}
